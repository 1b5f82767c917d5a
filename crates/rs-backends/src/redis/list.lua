-- All that are not over, changing nothing: a reader needs no right to write.
-- KEYS: instances, deadlines, changes. ARGV: how many at most, the digest of what the reader knows.
-- Answers how many there are, the last change, the time until the next one is over, the digest of all, and
-- id, text, id, text, …: none if the reader knows them.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local change = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
change = change and change[1] or '0-0'
local count = redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf')
if count == 0 or count > tonumber(ARGV[1]) then
  return {count, change, -1, '', {}}
end
local first = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
local ids = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. now, '+inf')
local found = {}
for from = 1, #ids, 1000 do
  local some = {unpack(ids, from, math.min(from + 999, #ids))}
  local texts = redis.call('HMGET', KEYS[1], unpack(some))
  for place, id in ipairs(some) do
    if texts[place] then
      found[#found + 1] = id
      found[#found + 1] = texts[place]
    end
  end
end
local digest = redis.sha1hex(table.concat(found, '\0'))
if digest == ARGV[2] then
  found = {}
end
return {count, change, math.max(1, math.ceil(first[2] - now)), digest, found}
