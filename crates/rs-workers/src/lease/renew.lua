-- KEYS: lease, epoch. ARGV: holder, milliseconds, epoch. Whether it still leads.
if redis.call('GET', KEYS[1]) == ARGV[3] .. ':' .. ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
return 0
