-- All shall stand elsewhere: 0, or why not, and how many or how long.
-- KEYS: record, leases, acknowledged. ARGV: lease, revision, at once, stage, share, epoch, held, why.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local revision = tonumber(redis.call('HGET', KEYS[1], 'revision') or '0')
if revision ~= tonumber(ARGV[2]) then
  return { 1, 0 }
end
if ARGV[3] ~= '1' then
  local age = now - tonumber(redis.call('HGET', KEYS[1], 'born') or '0')
  if age < tonumber(ARGV[1]) then
    return { 3, ARGV[1] - age }
  end
  local waiting = 0
  local live = redis.call('ZRANGEBYSCORE', KEYS[2], now, '+inf')
  for _, replica in ipairs(live) do
    if tonumber(redis.call('HGET', KEYS[3], replica) or '0') ~= revision then
      waiting = waiting + 1
    end
  end
  if waiting > 0 then
    return { 2, waiting }
  end
  local lost = redis.call('ZCARD', KEYS[2]) - #live
  if ARGV[4] == '5' and lost > 0 then
    return { 4, lost }
  end
end
redis.call('HSET', KEYS[1], 'revision', revision + 1, 'stage', ARGV[4], 'share', ARGV[5], 'epoch', ARGV[6],
  'held', ARGV[7], 'why', ARGV[8])
return { 0, 0 }
