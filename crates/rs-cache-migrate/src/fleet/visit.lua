-- A replica says where it stands and hears where all shall stand.
-- KEYS: record, leases, acknowledged. ARGV: replica, lease, revision, acknowledges, stage, share, epoch, held,
-- epoch after a rollback or "", why.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function put(revision, stage, share, epoch, held, why)
  redis.call('HSET', KEYS[1], 'revision', revision, 'stage', stage, 'share', share, 'epoch', epoch, 'held', held,
    'why', why)
end
local function number(field)
  return tonumber(redis.call('HGET', KEYS[1], field) or '0')
end
local revision, mine = number('revision'), tonumber(ARGV[3])
if revision == 0 or mine > revision then
  -- The first one, or this server has forgotten.
  revision = math.max(mine, 1)
  put(revision, ARGV[5], ARGV[6], ARGV[7], ARGV[8], 'as a replica stood')
  redis.call('HSET', KEYS[1], 'born', now)
end
if ARGV[9] ~= '' then
  local stage = number('stage')
  if stage ~= 5 and not (stage == 0 and number('held') == 1) then
    revision = revision + 1
    put(revision, 0, 0, math.max(number('epoch') + 1, tonumber(ARGV[9])), 1, ARGV[10])
  end
end
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
if ARGV[4] == '1' then
  redis.call('HSET', KEYS[3], ARGV[1], mine)
end
local waiting = 0
local live = redis.call('ZRANGEBYSCORE', KEYS[2], now, '+inf')
for _, replica in ipairs(live) do
  if tonumber(redis.call('HGET', KEYS[3], replica) or '0') ~= revision then
    waiting = waiting + 1
  end
end
local young = now - number('born') < tonumber(ARGV[2]) and 1 or 0
return { { revision, number('stage'), number('share'), number('epoch'), number('held'), #live, waiting,
  redis.call('ZCARD', KEYS[2]) - #live, young }, redis.call('HGET', KEYS[1], 'why') }
