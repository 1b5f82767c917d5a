-- KEYS: instances, deadlines, changes. ARGV: id.
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('HDEL', KEYS[1], ARGV[1]) == 1 then
  redis.call('XADD', KEYS[3], 'MAXLEN', 1, '*', 'c', '')
  redis.call('PEXPIRE', KEYS[3], 60000)
end
return 1
