-- The governor's accounts of one model at one endpoint with one key. Times are seconds of this server's clock.
--
-- KEYS  state, slots, leases, reserved
-- ARGV  now ("": this server's), limit of requests ("": learnt), of tokens ("": learnt), then a JSON array of operations,
--       which are done in their order, each as if it came by itself. What is not known is false in them.
--   ["acquire", id, prompt tokens (estimate), most tokens of the answer, interactive, seconds until the lease ends]
--            -> {"go", tokens reserved} or {"wait", seconds, why}; {"behind"} after one that must wait
--   ["settle", id, counted, prompt tokens used, tokens of the answer, limited, seconds to pause,
--            told limit of requests, of tokens, requests left, tokens left] -> {"settled"} or {"unknown"}
--   ["renew", seconds until the leases end, their ids...] -> {"renewed"}
--
-- Two accounts are kept of requests (r) and of tokens (t). The ledger, in slots of a quarter of a second by the time of
-- leave, says what is spent in the last 61 s; it never holds more than the limit, and that is the promise. The bucket
-- (level) only spreads calls over the minute: it fills at 97 % of the limit, 61.25 s of which with its burst of 1 % are
-- just the limit. A call is at the endpoint at most a second after its leave, hence 61 s and not 60. What a call
-- reserved stays in the ledger when its worker dies, as it may have been made, and leaves it with its slot.
-- Where no limit is known, and after a refusal, calls in flight are bounded as well (window): it doubles a round trip
-- until the first refusal, then grows by one, and slowly near where it was last refused (ceiling).

local WINDOW, SLOT = 61, 0.25
local FILL, BURST = 0.97, 0.01
local DEBT, KEPT = 0.05, 0.01 -- for interactive calls: what the bucket lends them, what bulk calls leave in the ledger
local FIRST_WINDOW, NEAR = 8, 0.1 -- one worker's calls, by default
local CUT, CUT_HARD = 0.85, 0.5
local OLD_CEILING_S = 60
local LEARN = 0.1 -- weight of the newest call in a moving average
local DAYS_2 = 172800

local state_key, slots_key, leases_key, reserved_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1e6
end

local state, changed = {}, {}
local stored = redis.call('HGETALL', state_key)
for i = 1, #stored, 2 do state[stored[i]] = tonumber(stored[i + 1]) end

local function put(name, value)
  state[name], changed[name] = value, true
end

local function forget_slots()
  redis.call('DEL', slots_key)
  put('sum_r', 0)
  put('sum_t', 0)
end

-- The clock of a server that took over may be behind: an account in the future would never end.
local stepped_back = state.at and state.at > now + WINDOW
if state.at and state.at > now and not stepped_back then now = state.at end

local slot_now = math.floor(now / SLOT)
local first_slot = math.floor((now - WINDOW) / SLOT)
if not state.oldest or stepped_back or first_slot - state.oldest > 2 * WINDOW / SLOT then
  forget_slots()
else
  for slot = state.oldest, first_slot - 1 do
    local spent = redis.call('HMGET', slots_key, 'r' .. slot, 't' .. slot)
    if spent[1] then
      put('sum_r', state.sum_r - tonumber(spent[1]))
      put('sum_t', state.sum_t - tonumber(spent[2] or 0))
      redis.call('HDEL', slots_key, 'r' .. slot, 't' .. slot)
    end
  end
end
if state.oldest ~= first_slot then put('oldest', first_slot) end

local function spend(slot, requests, tokens)
  redis.call('HINCRBYFLOAT', slots_key, 'r' .. slot, requests)
  redis.call('HINCRBYFLOAT', slots_key, 't' .. slot, string.format('%.17g', tokens))
  put('sum_r', state.sum_r + requests)
  put('sum_t', state.sum_t + tokens)
end

-- The two limits, refilled up to now.
local function account(name, limit, least_burst)
  if not limit then return nil end
  local one = {name = name, limit = limit, rate = FILL * limit / 60, cap = math.max(least_burst, BURST * limit)}
  local level = state['level_' .. name] or one.cap
  if stepped_back then level = 0 end
  local elapsed = state.at and math.max(0, now - state.at) or 0
  one.level = math.min(one.cap, level + elapsed * one.rate)
  return one
end
local requests, tokens

-- Before each operation, as the one before may have told of a limit.
local function refill()
  requests = account('r', tonumber(ARGV[2]) or state.limit_r, 2)
  tokens = account('t', tonumber(ARGV[3]) or state.limit_t, 2)
  stepped_back = false
  put('at', now)
end

local function change_level(one, by)
  if one then one.level = math.min(one.cap, one.level + by) end
end

local function keep_levels()
  if requests then put('level_r', requests.level) end
  if tokens then put('level_t', tokens.level) end
end

local function save()
  local fields = {}
  for name in pairs(changed) do
    fields[#fields + 1] = name
    fields[#fields + 1] = string.format('%.17g', state[name])
  end
  if #fields > 0 then redis.call('HSET', state_key, unpack(fields)) end
  for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, DAYS_2) end
end

local ended = redis.call('ZRANGEBYSCORE', leases_key, '-inf', string.format('%.6f', now), 'LIMIT', 0, 100)
for _, lease in ipairs(ended) do
  redis.call('ZREM', leases_key, lease)
  redis.call('HDEL', reserved_key, lease)
end

-- Seconds until `need` fits; 0: now.
local function wait_for(one, need, interactive)
  if not one then return 0 end
  -- A call that is larger than the burst goes at a full bucket and leaves it in debt. Interactive calls go at a lower
  -- level, so that none of them is behind a bulk one.
  local want = math.min(need, one.cap)
  if interactive then want = want - math.max(1, DEBT * one.limit) end
  local wait = math.max(0, want - one.level) / one.rate
  local most = one.limit
  if not interactive and most >= 20 and need < most / 2 then most = most - math.max(1, math.floor(KEPT * most)) end
  if need > one.limit then return wait end -- never fits: the endpoint refuses it, and says so
  local excess = state['sum_' .. one.name] + need - most
  if excess > 1e-6 then
    for slot = first_slot, slot_now do
      excess = excess - tonumber(redis.call('HGET', slots_key, one.name .. slot) or 0)
      if excess <= 1e-6 then
        return math.max(wait, (slot + 1) * SLOT + WINDOW - now)
      end
    end
  end
  return wait
end

local function acquire(id, prompt, most, interactive, lease_s)
  local had = redis.call('HGET', reserved_key, id)
  if had then return {'go', string.match(had, '^%S+ (%S+)')} end -- asked again because the answer was lost
  if state.pause and state.pause > now then
    return {'wait', string.format('%.6f', state.pause - now), 'pause'}
  end
  local need = math.ceil(prompt * (state.ratio or 1) + math.min(most, state.answer or most))
  local wait = math.max(wait_for(requests, 1, interactive), wait_for(tokens, need, interactive))
  if wait > 0 then
    return {'wait', string.format('%.6f', wait), 'limit'}
  end
  if state.cut_at or not (requests or tokens) then
    local window = math.floor(state.window or FIRST_WINDOW)
    if interactive then window = window + math.max(1, math.floor(window / 20)) end
    if redis.call('ZCARD', leases_key) >= window then
      put('full_at', now)
      local round_trip = state.round_trip or 0.2
      return {'wait', string.format('%.6f', math.min(1, math.max(0.02, round_trip / window))), 'window'}
    end
  end
  spend(slot_now, 1, need)
  change_level(requests, -1)
  change_level(tokens, -need)
  redis.call('ZADD', leases_key, string.format('%.6f', now + lease_s), id)
  redis.call('HSET', reserved_key, id, string.format('%d %d %.6f %d', slot_now, need, now, prompt))
  return {'go', tostring(need)}
end

local function learn(name, value)
  put(name, state[name] and state[name] + LEARN * (value - state[name]) or value)
end

-- The window, when of `in_flight` calls one that had leave at `since` is over.
local function adapt(since, limited, in_flight)
  -- A call from before the last cut tells nothing new: the window is cut at most once a round trip.
  if state.cut_at and since <= state.cut_at then return end
  if limited then
    local reached = in_flight
    if state.cut_at or not (requests or tokens) then
      reached = math.min(reached, state.window or FIRST_WINDOW)
    end
    local held = state.cut_at and now - state.cut_at >= 3 * (state.round_trip or 1)
    put('ceiling', reached)
    put('window', math.max(1, reached * (held and CUT or CUT_HARD)))
    put('cut_at', now)
    return
  end
  local window = state.window or FIRST_WINDOW
  if not state.full_at or state.full_at < since then return end -- something else bounded the calls meanwhile
  if not state.cut_at then
    put('window', window + 1)
  elseif window < state.ceiling - 1 or now - state.cut_at > OLD_CEILING_S then
    put('window', window + 1 / window)
  else
    put('window', window + NEAR / window)
  end
end

local function settle(id, counted, prompt_used, answer_used, limited, pause_s, told_r, told_t, left_r, left_t)
  local in_flight = redis.call('ZCARD', leases_key)
  local had = redis.call('HGET', reserved_key, id)
  if had then
    local slot, reserved, since, prompt = string.match(had, '^(%S+) (%S+) (%S+) (%S+)')
    slot, reserved, since, prompt = tonumber(slot), tonumber(reserved), tonumber(since), tonumber(prompt)
    redis.call('HDEL', reserved_key, id)
    redis.call('ZREM', leases_key, id)
    local requests_back, tokens_back = 0, 0
    if not counted then
      requests_back, tokens_back = 1, reserved
    elseif prompt_used and answer_used then
      tokens_back = reserved - prompt_used - answer_used
      if prompt_used > 0 and not limited then
        learn('ratio', math.min(4, math.max(0.05, prompt_used / math.max(1, prompt))))
        learn('answer', answer_used)
        learn('round_trip', now - since)
      end
    end
    if slot >= first_slot then spend(slot, -requests_back, -tokens_back) end
    change_level(requests, requests_back)
    change_level(tokens, tokens_back)
    if limited or (prompt_used or 0) > 0 then adapt(since, limited, in_flight) end
  end
  if limited then
    -- The endpoint counts more than we do: somebody else uses the key, or its minute is another one.
    for _, one in pairs({requests, tokens}) do one.level = math.min(one.level, 0) end
  end
  if pause_s and pause_s > 0 and now + pause_s > (state.pause or 0) then put('pause', now + pause_s) end
  for name, told in pairs({r = {told_r, left_r}, t = {told_t, left_t}}) do
    local limit, left = told[1], told[2]
    if limit and limit > 0 then put('limit_' .. name, limit) end
    local one = name == 'r' and requests or tokens
    if left and one and one.name == name then one.level = math.min(one.level, left) end
  end
  return {had and 'settled' or 'unknown'}
end

local function renew(lease_s, ...)
  for _, lease in ipairs({...}) do
    redis.call('ZADD', leases_key, 'XX', string.format('%.6f', now + lease_s), lease)
  end
  return {'renewed'}
end

local does, answers, behind = {acquire = acquire, settle = settle, renew = renew}, {}, false
for i, operation in ipairs(cjson.decode(ARGV[4])) do
  local name = operation[1]
  if name == 'acquire' and behind then
    answers[i] = {'behind'}
  else
    refill()
    answers[i] = does[name](unpack(operation, 2))
    keep_levels()
    behind = behind or answers[i][1] == 'wait'
  end
end
save()
return answers
