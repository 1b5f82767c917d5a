-- Somebody is about to change the key elsewhere. KEYS: value, marks, lease, since. ARGV: mark, hold.
-- Marks are a sorted set by the moment at which they lapse; "c" says that two of them met.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local hold = tonumber(ARGV[2])
redis.call('SET', KEYS[4], now, 'NX')
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local count = redis.call('ZCARD', KEYS[2])
if count > 0 then
  if count == 1 and redis.call('ZSCORE', KEYS[2], 'c') then
    -- All that met have lapsed.
    redis.call('DEL', KEYS[2])
  else
    redis.call('ZADD', KEYS[2], '+inf', 'c')
  end
end
redis.call('ZADD', KEYS[2], now + hold, ARGV[1])
redis.call('PEXPIRE', KEYS[2], math.max(hold, redis.call('PTTL', KEYS[2])))
redis.call('DEL', KEYS[1], KEYS[3])
return 1
