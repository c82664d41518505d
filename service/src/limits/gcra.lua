-- One request of one client, against one quota or several: see limits/redis_limiter.rs. All times are microseconds.
-- KEYS[i]      the client, or a network that it belongs to
-- ARGV[2i-1]   interval: the time in which one request comes back
-- ARGV[2i]     burst: requests at once
-- returns  {1, {requests left, ...}} or {0, {time until the next one, ...}}, a number for each key

-- Redis's own clock: those of the replicas differ.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local allowed, left, wait, next_arrivals = 1, {}, {}, {}
for i, key in ipairs(KEYS) do
  local interval = tonumber(ARGV[2 * i - 1])
  local tolerance = interval * tonumber(ARGV[2 * i])

  -- No further ahead than a used-up quota is: the clock may have been set back, or the limit changed.
  local arrival = tonumber(redis.call('GET', key)) or now
  arrival = math.min(math.max(arrival, now), now + tolerance)

  next_arrivals[i] = arrival + interval
  local ahead = next_arrivals[i] - now
  left[i] = math.floor((tolerance - ahead) / interval)
  wait[i] = math.max(ahead - tolerance, 0)
  if ahead > tolerance then
    allowed = 0
  end
end

-- A request over one quota is charged to none.
if allowed == 0 then
  return {0, wait}
end
for i, key in ipairs(KEYS) do
  -- A number of 16 digits would be written as 1.6e15. Once it is in the past the key says nothing: let it expire.
  local lifetime = math.ceil((next_arrivals[i] - now) / 1000)
  redis.call('SET', key, string.format('%.0f', next_arrivals[i]), 'PX', lifetime)
end
return {1, left}
