-- KEYS: lease, epoch. ARGV: holder, milliseconds. The epoch, or 0 if somebody else leads.
local held = redis.call('GET', KEYS[1])
if held then
  local holder = string.match(held, '^%d+:(.*)$')
  if holder ~= ARGV[1] then
    return 0
  end
end
local time = redis.call('TIME')
local epoch = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if epoch <= last then
  epoch = last + 1
end
local written = string.format('%.0f', epoch)
redis.call('SET', KEYS[2], written)
redis.call('SET', KEYS[1], written .. ':' .. ARGV[1], 'PX', ARGV[2])
return epoch
