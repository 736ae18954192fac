-- bench_vm.lua - what bench_vm.c does, in Lua 5.4: lua5.4 tests/bench/bench_vm.lua [repeats]
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
local benches = {
  { "fib(30)", function() return fib(30) end },
  { "loop 10M, sum of i % 7", function() local s = 0 for i = 0, 9999999 do s = s + i % 7 end return s end },
  { "while 10M", function() local i, n = 0, 10000000 while i < n do i = i + 1 end return i end },
  { "record update 5M", function() local p = { x = 0, y = 0, name = "origin" } for i = 1, 5000000 do p.x = p.x + 1 p.y = p.y + p.x end return p.y end },
  { "record new 3M", function() local s = 0 for i = 0, 2999999 do local p = { x = i, y = s } s = s + p.x end return s end },
  { "text append 1M (concat)", function() local t = { "x" } for i = 1, 1000000 do t[#t + 1] = "x" end return #table.concat(t) end },
  { "list push and read 1M", function() local t, s = {}, 0 for i = 0, 999999 do t[#t + 1] = i end for i = 1, #t do s = s + t[i] end return s end },
  { "conditions 3M (floats)", function() local price, budget, c, hits = 0.0, 500.0, 1, 0
      for i = 0, 2999999 do price = price + 0.01 if price < budget and c == 1 and i >= 10 then hits = hits + 1 end end return hits end },
}
local repeats = tonumber(arg[1]) or 5
for _, b in ipairs(benches) do
  local best = math.huge
  for _ = 1, repeats do
    collectgarbage()
    local start = os.clock()
    b[2]()
    best = math.min(best, os.clock() - start)
  end
  print(string.format("%-26s %8.1f ms", b[1], best * 1000))
end
