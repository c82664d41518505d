-- One request of one client: see limits/shared.rs. All times are microseconds.
-- KEYS[1]  the client
-- ARGV[1]  interval: the time in which one request comes back
-- ARGV[2]  burst: requests at once
-- returns  {1, requests left} or {0, time until the next one}

local interval = tonumber(ARGV[1])
local tolerance = interval * tonumber(ARGV[2])

-- Redis's own clock: those of the replicas differ.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- No further ahead than a used-up quota is: the clock may have been set back, or the limit changed.
local arrival = tonumber(redis.call('GET', KEYS[1])) or now
arrival = math.min(math.max(arrival, now), now + tolerance)

local next_arrival = arrival + interval
local ahead = next_arrival - now
if ahead > tolerance then
  return {0, ahead - tolerance}
end
-- A number of 16 digits would be written as 1.6e15. Once it is in the past the key says nothing: let it expire.
redis.call('SET', KEYS[1], string.format('%.0f', next_arrival), 'PX', math.ceil(ahead / 1000))
return {1, math.floor((tolerance - ahead) / interval)}
