-- KEYS: the bucket. ARGV: microseconds from one token to the next, the burst, how many tokens at least,
-- how many at most. Answers how many were taken, and if none, after how many microseconds to ask again.
--
-- The bucket holds its level and when that was. A moment of emptiness alone would do, but after a
-- failover to a clock that is behind, it would lie in the future for as long as the clock is behind.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local least, most = tonumber(ARGV[3]), tonumber(ARGV[4])

local known = redis.call('HMGET', KEYS[1], 'level', 'at')
local level = tonumber(known[1] or '') or burst
local at = tonumber(known[2] or '') or now
level = math.min(burst, level + math.max(0, now - at) / interval)

-- A level that lacks a billionth lacks nothing.
local taken = 0
if level + 1e-9 >= least then taken = math.min(most, math.floor(level + 1e-9)) end
if taken > 0 or now < at then
  level = math.max(0, level - taken)
  redis.call('HSET', KEYS[1], 'level', string.format('%.17g', level), 'at', string.format('%.0f', now))
  -- One that is full is as good as none.
  redis.call('PEXPIRE', KEYS[1], math.ceil((burst - level) * interval / 1000) + 1000)
end
if taken > 0 then return {taken, 0} end
return {0, math.max(1, math.ceil((least - level) * interval))}
