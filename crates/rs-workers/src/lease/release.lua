-- KEYS: lease, epoch. ARGV: holder, milliseconds, epoch.
if redis.call('GET', KEYS[1]) == ARGV[3] .. ':' .. ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return redis.status_reply('OK')
