-- Changes a key unless it is too late: whoever asked has given up by then, and believes that nothing happens.
-- KEYS: value. ARGV: latest moment, "set" | "add" | "delete", value, milliseconds or "".
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then
  return { -1, now }
end
if ARGV[2] == 'delete' then
  redis.call('DEL', KEYS[1])
  return { 1, now }
end
local set = { 'SET', KEYS[1], ARGV[3] }
if ARGV[4] ~= '' then
  set[#set + 1] = 'PX'
  set[#set + 1] = ARGV[4]
end
if ARGV[2] == 'add' then
  set[#set + 1] = 'NX'
end
local done = redis.call(unpack(set))
return { done and 1 or 0, now }
