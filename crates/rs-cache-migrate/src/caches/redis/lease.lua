-- Somebody wants to copy the key to here. KEYS: value, marks, lease, since. ARGV: lease, hold.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local since = redis.call('GET', KEYS[4])
if not since then
  -- This server may have forgotten marks whose changes are still to come.
  redis.call('SET', KEYS[4], now)
  return 0
end
if now - since < tonumber(ARGV[2]) then
  return 0
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local count = redis.call('ZCARD', KEYS[2])
if count == 1 and redis.call('ZSCORE', KEYS[2], 'c') then
  redis.call('DEL', KEYS[2])
  count = 0
end
if count > 0 then
  return 0
end
return redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
