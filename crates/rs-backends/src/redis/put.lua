-- Puts an instance, or only goes on keeping it. Whoever writes clears away what is over.
-- KEYS: instances, deadlines, changes. ARGV: id, time to live in ms, text (absent to renew).
-- Answers 0 if it was to be renewed and is not known.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1000)
for _, id in ipairs(over) do
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
end
local changed = #over > 0
local known = redis.call('HGET', KEYS[1], ARGV[1])
local answer = 1
if ARGV[3] then
  changed = changed or known ~= ARGV[3]
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
elseif not known then
  answer = 0
end
if answer == 1 then
  redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
end
if changed then
  redis.call('XADD', KEYS[3], 'MAXLEN', 1, '*', 'c', '')
end
-- A service that everybody has left takes its keys along, a minute later.
local keep = math.max(redis.call('PTTL', KEYS[2]), ARGV[2] + 60000)
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, keep)
end
return answer
