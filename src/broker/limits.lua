-- Buckets of tokens that all nodes share. KEYS: the bucket of each rule; ARGV: of each rule what to
-- do, the microseconds in which a token comes back, and the tokens of a full bucket. Returns for
-- each rule 0 (a token was taken, or put back), the microseconds until there is one, or -1 (not
-- asked). A bucket is the time at which it is full again; a full one has no key.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answers, skips, refused = {}, false, false
for i, key in ipairs(KEYS) do
  local turn, period, burst = ARGV[3 * i - 2], tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  if skips or refused then
    answers[i], skips = -1, false
  else
    -- At most empty: this clock may have been set back, and nodes may have different limits.
    local full_at = math.min(tonumber(redis.call('GET', key) or now), now + period * burst)
    full_at = math.max(full_at, now)
    local wait = full_at - now - period * (burst - 1)
    if turn == 'give_back' then
      full_at, wait = full_at - period, 0
    elseif wait <= 0 then
      full_at, wait = full_at + period, 0
      skips = turn == 'instead_of_next'
    else
      refused = turn == 'require'
    end
    if full_at > now then
      local ttl = math.ceil((full_at - now) / 1000)
      redis.call('SET', key, string.format('%.0f', full_at), 'PX', string.format('%.0f', ttl))
    else
      redis.call('DEL', key)
    end
    answers[i] = wait
  end
end
return answers
