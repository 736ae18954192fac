-- redis_runs.lua - batches of the session store, one after the other. Each is atomic: all of its operations, or none.
--
-- Lua in Redis cannot undo, so nothing of a batch is written before all of it is known to fit: reads and writes go through an overlay (`put`, `get`,
-- `rank`) that is written out at the end. An operation that does not fit throws, and what was in the overlay is forgotten.
--
-- A run is named by its prefix p = {tenant}:session:RUN. Beside it stand
--   p:state    hash: the run's row (FIELDS), `serial`, `ready` (its member of READY), `timers` ("REQUEST=DUE …"), `snapshot` and `snapshot_at`
--   p:journal  hash: SEQ -> row; `max`, the largest SEQ
--   p:mail     hash: `n`, how much mail there ever was; `seen`, up to where a claim has seen it; `i:N` -> id of what waits; `k:ID` -> N, 0 once taken; `b:ID` -> the mail
-- and all three end TTL_MS after the run's last write (or up to RENEW_MS earlier: `renewed` says when it was prolonged). What finds runs is global, and is cleaned of those that ended when somebody comes across them:
--   RUNS by the end of their time to live; LEASE and DUE by time; MAILED parked with mail that no claim has seen;
--   READY:{tenant} by urgency (as text), and TENANTS those that have such; `served`, the tenant that a claim served last; `claims`, how many there were;
--   flow:session:key:… and flow:session:limit:… the runs that hold a concurrency key or a place under a limit, with :blocked those that wait for it,
--   and HELD by the time when somebody should look whether its holders still live.
--
-- KEYS: none, the names follow from ARGV (a single server; a cluster would need one hash tag for all of them).
-- ARGV, for each batch: how many words follow, prefix of its run or empty, prefix of all runs of its tenant or empty, epoch (0: not fenced), its operations.
-- Answer, for each batch: {0, changed, result, …} or {code, sentence}.

local RUNS, READY, LEASE, DUE, MAILED = 'flow:session:runs', 'flow:session:ready:', 'flow:session:lease', 'flow:session:due', 'flow:session:mailed'
local TENANTS, HELD, SERVED, CLAIMS = 'flow:session:tenants', 'flow:session:held', 'flow:session:served', 'flow:session:claims'
local PAGE, TENANTS_MAX, RENEW_MS, HELD_MS = 64, 64, 60000, 60000
local at = 1
local RUN, TENANT, EPOCH                                    -- of the batch that is being done
local hashes, read, ranks, wiped, touched, results, changed

local function fail(code, text) error({ code = code, text = text }, 0) end
local function take() at = at + 1 return ARGV[at - 1] end
local function give(result) results[#results + 1] = result end
local function text_of(number) return string.format('%.0f', number) end
local function id_of(p) return string.sub(p, select(2, string.find(p, ':session:', 1, true)) + 1) end

-- ---- the overlay -----------------------------------------------------------------------------------------

local function get(key, field)
    local over = hashes[key]
    if over and over[field] ~= nil then return over[field] end
    if wiped[key] then return false end
    local known = read[key]
    if not known then known = {} read[key] = known end
    if known[field] == nil then known[field] = redis.call('HGET', key, field) end
    return known[field]
end

local function read_ahead(key, fields)
    local values, known = redis.call('HMGET', key, unpack(fields)), {}
    for i, field in ipairs(fields) do known[field] = values[i] end
    read[key] = known
end

-- A value of false takes the field away.
local function put(key, field, value)
    if get(key, field) == value then return end
    hashes[key] = hashes[key] or {}
    hashes[key][field] = value
    changed = 1
end

local function rank(set, member, score)
    ranks[set] = ranks[set] or {}
    ranks[set][member] = score
end

local function now_ms()
    local now = redis.call('TIME')
    return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- The first of a set, by score, that is `wanted`, or nil.
local function first_of(set, wanted)
    local over, first, page, members = ranks[set] or {}, nil, 0, nil
    for member, score in pairs(over) do
        if score and (not first or score < first) and wanted(member) then first = score end
    end
    repeat
        members = redis.call('ZRANGE', set, page * PAGE, page * PAGE + PAGE - 1, 'WITHSCORES')
        page = page + 1
        for i = 1, #members, 2 do
            local member, score = members[i], tonumber(members[i + 1])
            if over[member] == nil then
                if first and first <= score then return first end
                if not get(member .. ':state', 'status') then rank(set, member, false)
                elseif wanted(member) then return score end
            end
        end
    until #members < 2 * PAGE
    return first
end

local function write_hash(key, over)
    local sets, gone = {}, {}
    for field, value in pairs(over) do
        if value then sets[#sets + 1] = field sets[#sets + 1] = value else gone[#gone + 1] = field end
    end
    for i = 1, #sets, 2000 do redis.call('HSET', key, unpack(sets, i, math.min(i + 1999, #sets))) end
    for i = 1, #gone, 2000 do redis.call('HDEL', key, unpack(gone, i, math.min(i + 1999, #gone))) end
end

-- `fresh`: one of its keys has just been made.
local function prolong(p, fresh, now)
    local renewed = get(p .. ':state', 'renewed')
    if not fresh and renewed and now - renewed < RENEW_MS then return end
    redis.call('HSET', p .. ':state', 'renewed', text_of(now))
    redis.call('PEXPIRE', p .. ':state', TTL_MS)
    redis.call('PEXPIRE', p .. ':journal', TTL_MS)
    redis.call('PEXPIRE', p .. ':mail', TTL_MS)
    redis.call('ZADD', RUNS, text_of(now + TTL_MS), p)
    redis.call('ZREMRANGEBYSCORE', RUNS, '-inf', text_of(now - 1000))
end

local function write_out()
    for key in pairs(wiped) do redis.call('UNLINK', key) end
    for key, over in pairs(hashes) do write_hash(key, over) end
    for set, over in pairs(ranks) do
        for member, score in pairs(over) do
            if score then redis.call('ZADD', set, text_of(score), member) else redis.call('ZREM', set, member) end
        end
    end
    if changed == 0 then return end
    local now = now_ms()
    for p, fresh in pairs(touched) do prolong(p, fresh, now) end
end

-- ---- runs ------------------------------------------------------------------------------------------------

local function row_of(p)
    local key = p .. ':state'
    local over, row = hashes[key] or {}, wiped[key] and {} or redis.call('HMGET', key, unpack(FIELDS))
    for i, field in ipairs(FIELDS) do
        if over[field] ~= nil then row[i] = over[field] end
        row[i] = row[i] or ''
    end
    return row
end

local function need(p)
    if p == '' or not get(p .. ':state', 'status') then fail('NOT_FOUND', 'no run `' .. (p == '' and '' or id_of(p)) .. '`') end
end

local function earliest(p)
    local first
    for due in string.gmatch(get(p .. ':state', 'timers') or '', '=(-?%d+)') do
        due = tonumber(due)
        if not first or due < first then first = due end
    end
    return first or false
end

local function has_fresh_mail(p)
    local key = p .. ':mail'
    local n = tonumber(get(key, 'n') or 0)
    for i = tonumber(get(key, 'seen') or 0) + 1, n do
        if get(key, 'i:' .. i) then return true end
    end
    return false
end

local function tenant_of(p) return string.sub(p, 1, string.find(p, '}:', 1, true)) end
local function run_of(member) return string.sub(member, string.find(member, ' ', 1, true) + 1) end

-- The sets of the holders of its key and of its limit; either may be nil.
local function holders_of(p)
    local key, limit = get(p .. ':state', 'concurrency_key'), get(p .. ':state', 'limit_key')
    return key ~= '' and 'flow:session:key:' .. tenant_of(p) .. ':' .. key or nil, limit ~= '' and 'flow:session:limit:' .. tenant_of(p) .. ':' .. limit or nil
end

-- After every change of a run: where it is found follows from what it is.
local function index(p)
    local key = p .. ':state'
    local status, ready, blocked = tonumber(get(key, 'status')), get(key, 'ready'), get(key, 'blocked') == '1'
    local queue = READY .. tenant_of(p)
    rank(queue, ready, status == 0 and not blocked and 0)
    if ranks[queue][ready] then rank(TENANTS, tenant_of(p), 0) end
    rank(LEASE, p, status == 1 and tonumber(get(key, 'lease_until_us')))
    rank(MAILED, p, status == 2 and has_fresh_mail(p) and tonumber(get(key, 'updated_us')))
    rank(DUE, p, earliest(p))
    local one, other = holders_of(p)
    for _, set in pairs({ one or 0, other or 0 }) do
        if set ~= 0 then
            if get(key, 'epoch') ~= '0' then rank(set, p, status < 3 and 0) end
            rank(set .. ':blocked', ready, status == 0 and blocked and 0)
        end
    end
    touched[p] = touched[p] or false
end

-- Lets those try again that waited for a key or a place: the first one, and all that wait for something else as well.
local function free(set)
    local waiting = redis.call('ZRANGE', set .. ':blocked', 0, -1)
    for _, member in ipairs(waiting) do
        local p = run_of(member)
        if not get(p .. ':state', 'status') then rank(set .. ':blocked', member, false)
        elseif get(p .. ':state', 'blocked') == '1' then
            put(p .. ':state', 'blocked', false)
            index(p)
            local one, other = holders_of(p)
            if not (one and other) then break end
        end
    end
    if #waiting > 0 then rank(HELD, set, now_ms() + HELD_MS) end
end

local function take_mail(p, id)
    local key = p .. ':mail'
    local n = get(key, 'k:' .. id)
    if not n or n == '0' then return false end
    put(key, 'i:' .. n, false)
    put(key, 'b:' .. id, false)
    put(key, 'k:' .. id, '0')
    return true
end

-- A run that has ended waits for nothing.
local function set_status(p, status)
    local key = p .. ':state'
    put(key, 'status', status)
    if status ~= '1' then
        put(key, 'worker', '')
        put(key, 'lease_until_us', '0')
    end
    if tonumber(status) < 3 then return end
    put(key, 'timers', false)
    for i = 1, tonumber(get(p .. ':mail', 'n') or 0) do
        local id = get(p .. ':mail', 'i:' .. i)
        if id then take_mail(p, id) end
    end
    local one, other = holders_of(p)
    if one then free(one) end
    if other then free(other) end
end

local OPS = {}

function OPS.put_run()
    local ignore, p, values = take(), take(), {}
    local key = p .. ':state'
    for _, field in ipairs(FIELDS) do values[field] = take() end
    if get(key, 'status') then
        if ignore == '1' then return end
        fail('CONFLICT', 'run `' .. id_of(p) .. '` exists already')
    end
    for _, part in ipairs({ ':state', ':journal', ':mail' }) do wiped[p .. part] = true end       -- of a run of this id that ended its time
    put(key, '$run', '1')                                   -- hot state keeps its hands off (redis_hot.c)
    for field, value in pairs(values) do put(key, field, value) end
    local serial = redis.call('INCR', 'flow:session:serial')
    put(key, 'serial', text_of(serial))
    touched[p] = true
    put(key, 'ready', string.format('%010.0f%020.0f%016.0f ', 2147483647 - values.priority, math.max(0, tonumber(values.created_us)), serial) .. p)
    index(p)
end

function OPS.update_run()
    local key, values = RUN .. ':state', {}
    for _, field in ipairs({ 'status', 'result_json', 'waits_json', 'last_seq', 'snapshot_seq', 'updated_us', 'started_us', 'ended_us', 'lease_until_us' }) do values[field] = take() end
    need(RUN)
    for field, value in pairs(values) do put(key, field, value) end
    set_status(RUN, values.status)
    index(RUN)
end

function OPS.release()
    local status = take()
    need(RUN)
    set_status(RUN, status)
    index(RUN)
end

function OPS.renew()
    local until_us = take()
    if RUN == '' or get(RUN .. ':state', 'status') ~= '1' then return end
    put(RUN .. ':state', 'lease_until_us', until_us)
    index(RUN)
end

function OPS.append_journal()
    local seq, row, key = take(), take(), RUN .. ':journal'
    need(RUN)
    if get(key, seq) then fail('CONFLICT', 'journal row ' .. seq .. ' of run `' .. id_of(RUN) .. '` exists already') end
    put(key, seq, row)
    local max = get(key, 'max')
    if tonumber(seq) > tonumber(max or 0) then put(key, 'max', seq) end
    touched[RUN] = touched[RUN] or not max
end

function OPS.put_snapshot()
    local seq, bytes = take(), take()
    need(RUN)
    put(RUN .. ':state', 'snapshot', bytes)
    put(RUN .. ':state', 'snapshot_at', seq)
    touched[RUN] = touched[RUN] or false
end

local function without_timer(p, request)
    local kept = ''
    for one, due in string.gmatch(get(p .. ':state', 'timers') or '', '(%d+)=(-?%d+)') do
        if one ~= request then kept = kept .. one .. '=' .. due .. ' ' end
    end
    return kept
end

function OPS.set_timer()
    local p, request, due = take(), take(), take()
    need(p)
    put(p .. ':state', 'timers', without_timer(p, request) .. request .. '=' .. due .. ' ')
    index(p)
end

function OPS.clear_timer()
    local request, key = take(), RUN .. ':state'
    if RUN == '' or not get(key, 'timers') then return end
    put(key, 'timers', without_timer(RUN, request))
    index(RUN)
end

-- ---- mail ------------------------------------------------------------------------------------------------

function OPS.put_mail()
    local p, id, kind, cancels, created, bytes = take(), take(), take(), take(), take(), take()
    local state, key = p .. ':state', p .. ':mail'
    need(p)
    if tonumber(get(state, 'status')) >= 3 then
        if kind == 'event' then return end                  -- nobody waits for it any more
        fail('CONFLICT', 'run `' .. id_of(p) .. '` has ended')
    end
    if get(key, 'k:' .. id) then fail('CONFLICT', 'mail `' .. id .. '` exists already') end
    if get(state, 'status') == '2' then put(state, 'status', '0') end
    if cancels == '1' then put(state, 'cancel_requested', '1') end
    put(state, 'updated_us', created)
    local n = text_of(tonumber(get(key, 'n') or 0) + 1)
    touched[p] = touched[p] or n == '1'
    put(key, 'n', n)
    put(key, 'i:' .. n, id)
    put(key, 'k:' .. id, n)
    put(key, 'b:' .. id, bytes)
    index(p)
end

function OPS.take_mail()
    local id = take()
    if RUN == '' or not take_mail(RUN, id) then fail('NOT_FOUND', 'no mail `' .. id .. '` waits for run `' .. (RUN == '' and '' or id_of(RUN)) .. '`') end
    index(RUN)
end

function OPS.drop_mail()
    local id, key = take(), RUN .. ':mail'
    if RUN == '' or not take_mail(RUN, id) then return end
    put(key, 'k:' .. id, false)
    index(RUN)
end

-- ---- claims ----------------------------------------------------------------------------------------------

-- The runs but p that hold a key or a place: begun, not ended, still there.
local function count_holders(set, p)
    local members, count = {}, 0
    for _, other in ipairs(redis.call('ZRANGE', set, 0, -1)) do members[other] = true end
    for other, score in pairs(ranks[set] or {}) do members[other] = score and true or nil end
    for other in pairs(members) do
        local status = get(other .. ':state', 'status')
        if not status then rank(set, other, false)
        elseif other ~= p and tonumber(status) < 3 and get(other .. ':state', 'epoch') ~= '0' then count = count + 1 end
    end
    return count
end

local function free_to_start(p)
    if get(p .. ':state', 'epoch') ~= '0' then return true end
    local key, limit = holders_of(p)
    if key and count_holders(key, p) > 0 then return false end
    return not limit or count_holders(limit, p) < tonumber(get(p .. ':state', 'limit_count'))
end

local function wants_worker(p, now)
    local key = p .. ':state'
    local status = get(key, 'status')
    if status == '0' then return true end
    if status == '1' then return tonumber(get(key, 'lease_until_us')) <= now end
    if status ~= '2' then return false end
    local due = earliest(p)
    return (due and due <= now) or has_fresh_mail(p)
end

local function block(p)
    put(p .. ':state', 'blocked', '1')
    index(p)
    local key, limit = holders_of(p)
    if key then rank(HELD, key, now_ms() + HELD_MS) end
    if limit then rank(HELD, limit, now_ms() + HELD_MS) end
end

local function take_run(p, c)
    local key, n = p .. ':state', get(p .. ':mail', 'n')
    put(key, 'status', '1')
    put(key, 'blocked', false)
    put(key, 'epoch', text_of(tonumber(get(key, 'epoch')) + 1))
    put(key, 'worker', c.worker)
    put(key, 'lease_until_us', c.until_us)
    put(key, 'updated_us', c.now)
    if n then put(p .. ':mail', 'seen', n) end
    index(p)
    c.rows[#c.rows + 1] = row_of(p)
end

-- Members of a set in its order, a page at a time; LEASE and DUE up to now.
local function page_of(set, c, page)
    if set == LEASE or set == DUE then return redis.call('ZRANGEBYSCORE', set, '-inf', c.now, 'LIMIT', page * PAGE, PAGE) end
    return redis.call('ZRANGE', set, page * PAGE, page * PAGE + PAGE - 1)
end

-- Takes up to `most` of a set. True: there are no more.
local function claim_from(set, c, most)
    local queue, until_count, page, members = string.sub(set, 1, #READY) == READY, #c.rows + most, 0, nil
    repeat
        members = page_of(set, c, page)
        page = page + 1
        for i, member in ipairs(members) do
            if #c.rows == until_count then return false end
            local p = queue and run_of(member) or member
            local over = ranks[set] and ranks[set][member]
            if over ~= false and (TENANT == '' or string.sub(p, 1, #TENANT) == TENANT) then
                if not get(p .. ':state', 'status') then rank(set, member, false)
                elseif wants_worker(p, c.time) then
                    if free_to_start(p) then take_run(p, c) else block(p) end
                end
            end
        end
    until #members < PAGE
    return true
end

-- Runs that this batch itself has made ready.
local function claim_fresh(queue, c, most)
    local fresh, until_count = {}, #c.rows + most
    for member, score in pairs(ranks[queue] or {}) do
        if score then fresh[#fresh + 1] = member end
    end
    table.sort(fresh)
    for _, member in ipairs(fresh) do
        local p = run_of(member)
        if #c.rows == until_count then return false end
        if wants_worker(p, c.time) then
            if free_to_start(p) then take_run(p, c) else block(p) end
        end
    end
    return true
end

local function claim_ready_of(tenant, c, most)
    local queue, before = READY .. tenant, #c.rows
    local drained = claim_from(queue, c, most)
    if drained then drained = claim_fresh(queue, c, most - (#c.rows - before)) end
    if drained and redis.call('ZCARD', queue) == 0 and not ranks[queue] then rank(TENANTS, tenant, false) end
    return drained
end

-- Tenants with ready runs, from behind the one that was served last, once around.
local function list_tenants()
    local served = redis.call('GET', SERVED) or ''
    local found = redis.call('ZRANGEBYLEX', TENANTS, served == '' and '-' or '(' .. served, '+', 'LIMIT', 0, TENANTS_MAX)
    if served ~= '' and #found < TENANTS_MAX then
        for _, tenant in ipairs(redis.call('ZRANGEBYLEX', TENANTS, '-', '[' .. served, 'LIMIT', 0, TENANTS_MAX - #found)) do found[#found + 1] = tenant end
    end
    local known = {}
    for _, tenant in ipairs(found) do known[tenant] = true end
    for tenant, score in pairs(ranks[TENANTS] or {}) do
        if score and not known[tenant] then found[#found + 1] = tenant end
    end
    return found
end

-- First to each an equal share, then what is left over.
local function claim_ready(c, most)
    if TENANT ~= '' then return claim_ready_of(tenant_of(TENANT), c, most) end
    local tenants, until_count, drained, last = list_tenants(), #c.rows + most, {}, nil
    for i = 0, 2 * #tenants - 1 do
        local n, left = i % #tenants + 1, until_count - #c.rows
        if left == 0 then break end
        if not drained[n] then
            drained[n] = claim_ready_of(tenants[n], c, i < #tenants and math.ceil(left / (#tenants - i)) or left)
            if i < #tenants then last = tenants[n] end
        end
    end
    if last then redis.call('SET', SERVED, last) end
    for n = 1, #tenants do
        if not drained[n] then return false end
    end
    return #tenants < TENANTS_MAX
end

-- A holder whose time ended frees its key without a word.
local function look_after_held()
    local now = now_ms()
    for _, set in ipairs(redis.call('ZRANGEBYSCORE', HELD, '-inf', text_of(now), 'LIMIT', 0, 4)) do
        if redis.call('ZCARD', set .. ':blocked') == 0 then rank(HELD, set, false)
        else
            rank(HELD, set, now + HELD_MS)
            free(set)
        end
    end
end

function OPS.claim()
    local c = { worker = take(), now = take(), until_us = take(), rows = {} }
    local max, only, again = tonumber(take()), take(), take()
    c.time = tonumber(c.now)
    if only ~= '' then
        local status = get(only .. ':state', 'status')
        local wanted = status and (wants_worker(only, c.time) or (again == '1' and status == '1' and get(only .. ':state', 'worker') == c.worker))
        if wanted and free_to_start(only) then take_run(only, c) end
        return give({ '0', '0', unpack(c.rows) })
    end
    look_after_held()
    local turn, drained, taken_over = redis.call('INCR', CLAIMS), {}, 0
    for i = 0, 7 do
        local class = i % 4 == 0 and 0 or 1 + (turn + i) % 3
        local left = max - #c.rows
        if left > 0 and not drained[class] then
            local most = i < 4 and math.ceil(left / 4) or left
            if class == 3 then drained[class] = claim_ready(c, most)
            else drained[class] = claim_from(({ [0] = LEASE, DUE, MAILED })[class], c, most) end
        end
        if i == 0 then taken_over = #c.rows end
    end
    local more = not (drained[0] and drained[1] and drained[2] and drained[3])
    give({ more and '1' or '0', text_of(taken_over), unpack(c.rows) })
end

-- ---- reads -----------------------------------------------------------------------------------------------

function OPS.get_run()
    local id = take()
    local p = TENANT .. id
    if id == '' then fail('NOT_FOUND', 'no run ``') end
    if get(p .. ':state', 'status') then return give({ row_of(p) }) end
    local found = {}
    for _, other in ipairs(redis.call('ZRANGE', RUNS, 0, -1)) do
        if string.sub(other, 1, #p) == p and get(other .. ':state', 'status') then found[#found + 1] = other end
    end
    if #found == 0 then fail('NOT_FOUND', 'no run `' .. id .. '`') end
    if #found > 1 then fail('CONFLICT', 'run `' .. id .. '` is ambiguous') end
    give({ row_of(found[1]) })
end

function OPS.list_runs()
    local any, correlation, func_name, status, unended, worker, called = take(), take(), take(), take(), take(), take(), take()
    local user, until_us, limit = take(), tonumber(take()), tonumber(take())
    local found, rows = {}, {}
    for _, p in ipairs(redis.call('ZRANGE', RUNS, 0, -1)) do
        local key = p .. ':state'
        local now = (any == '1' or (TENANT ~= '' and string.sub(p, 1, #TENANT) == TENANT)) and get(key, 'status')
        if now and (status == '-1' or status == now) and (unended == '0' or tonumber(now) < 3)
            and (worker == '' or (now == '1' and get(key, 'worker') == worker)) and (called == '0' or has_fresh_mail(p))
            and (correlation == '' or get(key, 'correlation') == correlation) and (func_name == '' or get(key, 'func_name') == func_name)
            and (user == '' or get(key, 'user') == user) and (until_us == 0 or tonumber(get(key, 'created_us')) <= until_us) then
            found[#found + 1] = { p = p, created = tonumber(get(key, 'created_us')), serial = tonumber(get(key, 'serial')) }
        end
    end
    table.sort(found, function(a, b) if a.created ~= b.created then return a.created > b.created end return a.serial > b.serial end)
    for i = 1, math.min(limit, #found) do rows[i] = row_of(found[i].p) end
    give(rows)
end

function OPS.get_snapshot()
    local seq = RUN ~= '' and get(RUN .. ':state', 'snapshot_at')
    give(seq and { seq, get(RUN .. ':state', 'snapshot') } or {})
end

function OPS.get_journal()
    local p, after, limit, rows = take(), tonumber(take()), tonumber(take()), {}
    for seq = after + 1, tonumber(get(p .. ':journal', 'max') or 0) do
        local row = get(p .. ':journal', text_of(seq))
        if row then rows[#rows + 1] = row end
        if #rows >= limit then break end
    end
    give(rows)
end

function OPS.get_mail()
    local limit, rows, key = tonumber(take()), {}, RUN .. ':mail'
    for i = 1, tonumber(get(key, 'n') or 0) do
        local id = get(key, 'i:' .. i)
        if id then rows[#rows + 1] = get(key, 'b:' .. id) end
        if #rows >= limit then break end
    end
    give(rows)
end

function OPS.next_due()
    local due = first_of(DUE, function() return true end)
    give(due and { text_of(due) } or {})
end

function OPS.next_claim()
    local worker = take()
    local due = first_of(DUE, function(p) return get(p .. ':state', 'status') == '2' end)
    local lease = first_of(LEASE, function(p) return get(p .. ':state', 'worker') ~= worker end)
    if due and lease then due = math.min(due, lease) end
    due = due or lease
    give(due and { text_of(due) } or {})
end

-- ---- the batch -------------------------------------------------------------------------------------------

local function check_fence()
    if RUN ~= '' then read_ahead(RUN .. ':state', { 'status', 'epoch', 'renewed' }) end
    if EPOCH == '0' or RUN == '' then return end
    local epoch = get(RUN .. ':state', 'epoch')
    if not epoch then fail('FENCED', 'run `' .. id_of(RUN) .. '` is not there') end
    if epoch ~= EPOCH then fail('FENCED', 'run `' .. id_of(RUN) .. '` is at epoch ' .. epoch .. ', not ' .. EPOCH) end
end

local function do_operations(last)
    check_fence()
    while at <= last do OPS[take()]() end
    write_out()
end

local function do_batch()
    local last = at + tonumber(ARGV[at])
    at = at + 1
    RUN, TENANT, EPOCH = take(), take(), take()
    hashes, read, ranks, wiped, touched, results, changed = {}, {}, {}, {}, {}, {}, 0
    local fine, problem = pcall(do_operations, last)
    at = last + 1                                           -- it may have stopped in the middle
    if fine then return { 0, changed, unpack(results) } end
    if type(problem) == 'table' and problem.code then return { problem.code, problem.text } end
    return { 'IO', type(problem) == 'table' and problem.err or tostring(problem) }
end

local answers = {}
while at <= #ARGV do answers[#answers + 1] = do_batch() end
return answers
