-- What wrk sends: `wrk -s wrk.lua URL -- put|append|pages`. Its last line is for programs: requests per second, p50 and p99
-- in microseconds, and how many requests failed.

local threads = 0

function setup(thread)
  thread:set("first", threads * 50)
  threads = threads + 1
end

function init(args)
  kind, n = args[1], first
end

-- 256 bytes of JSON.
local function payload()
  local text = string.format('{"n":%d,"text":"', n)
  return text .. string.rep("tidelog ", 32):sub(1, 256 - #text - 2) .. '"}'
end

local octets = { ["content-type"] = "application/octet-stream" }

function request()
  n = n + 1
  if kind == "pages" then
    local since = n * 7919 % 19950 + 1
    return wrk.format("GET", "/v1/datasets/d/changes?limit=50&since=" .. since)
  elseif kind == "append" then
    return wrk.format("POST", "/v1/stream/d" .. n % 100, octets, payload())
  end
  local entity = math.floor(n / 100) % 1000
  return wrk.format("PUT", string.format("/v1/datasets/d%d/entities/e%d", n % 100, entity), octets, payload())
end

function done(summary, latency)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  local rate = summary.requests / summary.duration * 1e6
  io.write(string.format("%.0f %.0f %.0f %d\n", rate, latency:percentile(50), latency:percentile(99), failed))
end
