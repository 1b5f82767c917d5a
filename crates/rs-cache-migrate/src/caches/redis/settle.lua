-- The change elsewhere is done. KEYS: value, marks, lease, since. ARGV: mark, hold, value or "", milliseconds or "".
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then
  -- It lapsed, or was forgotten with all that this server had: nobody knows what came in between.
  redis.call('DEL', KEYS[1])
  return 0
end
if redis.call('ZSCORE', KEYS[2], 'c') then
  if redis.call('ZCARD', KEYS[2]) == 1 then
    redis.call('DEL', KEYS[2])
  end
  redis.call('DEL', KEYS[1])
  return 0
end
local since = redis.call('GET', KEYS[4])
if ARGV[3] == '' or not since or now - since < tonumber(ARGV[2]) then
  return 0
end
if ARGV[4] == '' then
  redis.call('SET', KEYS[1], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
end
return 1
