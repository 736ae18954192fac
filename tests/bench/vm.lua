-- The programs of vm.flow in Lua: each is run N times (5), the best time is printed in milliseconds of the processor.
local times = tonumber(arg and arg[1]) or 5
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
local programs = {
    { "recursion", function() return fib(30) end },
    { "loop", function() local sum = 0 for i = 0, 9999999 do sum = sum + i % 7 end return sum end },
    { "record_updates", function()
        local c = { name = "c", count = 0, total = 0 }
        for i = 0, 2999999 do c.count = c.count + 1 c.total = c.total + c.count % 3 end
        return c.total end },
    { "strings", function() local s = "" for i = 0, 29999 do s = s .. "item " end return #s end },
    { "string_pieces", function() local t = {} for i = 0, 99999 do t[#t + 1] = "item " end return #table.concat(t) end },
    { "condition", function()
        local function passes(available, status) return available >= 200 and status == "OK" end
        local hits, available, status = 0, 350.50, "OK"
        for i = 0, 999999 do if passes(available, status) then hits = hits + 1 end end
        return hits end },
}
for _, p in ipairs(programs) do
    local best, value = math.huge, nil
    for _ = 1, times do
        local start = os.clock()
        value = p[2]()
        best = math.min(best, (os.clock() - start) * 1000)
    end
    print(string.format("%s %.2f %d", p[1], best, value))
end
