-- KEYS: leases, acknowledged. ARGV: the replica that leaves, or "" for all whose lease has lapsed; how many.
local gone = { ARGV[1] }
if ARGV[1] == '' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now)
end
for _, replica in ipairs(gone) do
  redis.call('ZREM', KEYS[1], replica)
  redis.call('HDEL', KEYS[2], replica)
end
return #gone
