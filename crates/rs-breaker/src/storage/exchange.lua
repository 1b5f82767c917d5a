-- KEYS: replicas, open, orders.
-- ARGV: replica, keep, remembered, how many are open, their names, and then for each order its
-- breaker, id, forced, author, reason, given, expires in. Times are in milliseconds; -1 is never.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local replica, keep, remembered = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local HOUR = 3600000

-- What others have written may be anything: it must not stop the fleet.
local function unpacked(bytes)
  local fine, value = pcall(cmsgpack.unpack, bytes)
  return fine and type(value) == 'table' and value or nil
end

local function order_of(bytes)
  local order = unpacked(bytes)
  local fine = order and type(order.given) == 'number' and type(order.ends) == 'number'
  for _, field in ipairs({'id', 'forced', 'author', 'reason'}) do
    fine = fine and type(order[field]) == 'string'
  end
  return fine and order or nil
end

-- Who is there.
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[2], gone)
end
redis.call('ZADD', KEYS[1], now + keep, replica)
redis.call('PEXPIRE', KEYS[1], HOUR + keep)

-- What is open.
local next_order = 5 + ARGV[4]
if next_order > 5 then
  local open = {}
  for at = 5, next_order - 1 do open[#open + 1] = ARGV[at] end
  redis.call('HSET', KEYS[2], replica, cmsgpack.pack(open))
  redis.call('PEXPIRE', KEYS[2], HOUR + keep)
else
  redis.call('HDEL', KEYS[2], replica)
end
local counts = {}
local packed = redis.call('HGETALL', KEYS[2])
for at = 2, #packed, 2 do
  for _, name in ipairs(unpacked(packed[at]) or {}) do
    if type(name) == 'string' then counts[name] = (counts[name] or 0) + 1 end
  end
end

-- What is ordered. A clock that was put back makes no order later than now.
for at = next_order, #ARGV, 7 do
  local breaker, id, forced = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local given, lasts = now - ARGV[at + 5], tonumber(ARGV[at + 6])
  local known = order_of(redis.call('HGET', KEYS[3], breaker) or '')
  if not known or (known.id ~= id and given >= math.min(known.given, now)) then
    local ends = lasts < 0 and -1 or now + lasts
    if forced == '' then ends = given end
    redis.call('HSET', KEYS[3], breaker, cmsgpack.pack({
      id = id, forced = forced, author = ARGV[at + 3], reason = ARGV[at + 4],
      given = given, ends = ends,
    }))
  end
end
local orders = {}
packed = redis.call('HGETALL', KEYS[3])
for at = 1, #packed, 2 do
  local order = order_of(packed[at + 1])
  if not order or (order.ends >= 0 and order.ends + remembered <= now) then
    redis.call('HDEL', KEYS[3], packed[at])
  else
    local lasts = (order.forced == '' or order.ends < 0) and -1 or math.max(0, order.ends - now)
    orders[#orders + 1] = {
      packed[at], order.id, order.forced, order.author, order.reason,
      math.max(0, now - order.given), lasts,
    }
  end
end

local open = {}
for name, count in pairs(counts) do open[#open + 1] = {name, count} end
return {redis.call('ZCARD', KEYS[1]), open, orders}
