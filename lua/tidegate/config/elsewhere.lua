--- What other gateways, and people who know them, call the keys of ours: a key that is not known here, but is there, is
-- answered with the one to write. A map has at most one such table, at its schema's ELSEWHERE; what stands behind a
-- word is a key beside it, a path from there, or a path from the top (it begins with "services." or "routes").
local elsewhere = {}

--- What is written here, by the word for it, from { nodes = "servers targets" }. A word that means two things is an
-- error of this file.
local function by_word(by_target)
  local all = {}
  for target, list in pairs(by_target) do
    for word in list:gmatch "%S+" do
      if all[word] then error(("elsewhere: %s means %s and %s"):format(word, all[word], target)) end
      all[word] = target
    end
  end
  return all
end

elsewhere.top = by_word {
  services = "servers upstreams upstream backends backend clusters",
  routes = "locations location rules http",
  listen = "listeners listener frontends frontend entrypoints port ports bind",
  timeouts = "timeout",
  metrics = "prometheus stats",
}

elsewhere.service = by_word {
  nodes = "node servers server targets target upstreams upstream endpoints endpoint backends backend hosts members " ..
          "url urls",
  ["balance.algorithm"] = "strategy algorithm load_balancing load_balancer load_balance loadbalancer lb lb_policy " ..
                          "lb_algorithm balancer balancing policy type method",
  ["balance.key"] = "hash_on hash_key hash_policy key",
  health_check = "health checks check healthcheck option_httpchk",
  ["health_check.passive"] = "outlier_detection max_fails fail_timeout observe",
  ["health_check.panic"] = "panic panic_threshold healthy_panic_threshold",
  retries = "retry retry_policy num_retries proxy_next_upstream next_upstream redispatch",
  circuit_breaker = "breaker circuit_breakers api_breaker api-breaker",
  pool = "keepalive keepalive_pool keep_alive connection_pool",
  ["pool.idle"] = "keepalive_timeout",
  ["pool.max_requests"] = "keepalive_requests",
  ["pool.max_per_node"] = "max_conns maxconn max_connections",
  ["timeouts"] = "timeout",
  ["timeouts.connect"] = "connect_timeout timeout_connect proxy_connect_timeout",
  ["timeouts.send"] = "write_timeout send_timeout proxy_send_timeout",
  ["timeouts.first_byte"] = "read_timeout response_timeout proxy_read_timeout timeout_server",
  overload = "limit limits concurrency concurrency_limit max_concurrent max_requests max_pending_requests",
  sticky = "session_affinity affinity sticky_session sticky_sessions cookie session_persistence",
  host_header = "host preserve_host pass_host upstream_host host_rewrite",
  protocol = "scheme",
  ["tls.verify"] = "ssl_verify tls_verify verify proxy_ssl_verify insecure",
  ["tls"] = "ssl",
  ["tls.server_name"] = "sni",
  discovery = "discovery_type service_discovery dns resolver",
  slow_start = "slowstart warmup slow_start_config",
}

elsewhere.node = by_word {
  url = "host address addr target server uri ip port endpoint",
  enabled = "down disabled disable drain",
  ["services.NAME.pool.max_per_node"] = "max_conns maxconn max_connections",
  ["services.NAME.health_check.passive.failures"] = "max_fails",
  ["services.NAME.health_check.passive.eject"] = "fail_timeout",
  ["services.NAME.health_check.active"] = "check health_check",
  ["services.NAME.slow_start"] = "slow_start slowstart",
  backup = "priority",
}

elsewhere.balance = by_word {
  algorithm = "strategy type method policy name mode lb_policy",
  key = "hash_on hash_key hash header cookie hash_on_header hash_on_cookie hash_on_query_arg hash_header hash_policy",
  load_factor = "hash_balance_factor balance_factor bounded_load",
}

--- Words of `algorithm`.
elsewhere.algorithms = by_word {
  round_robin = "rr roundrobin round-robin",
  weighted_round_robin = "weighted wrr static-rr swrr",
  two_choices = "p2c power_of_two_choices random_two",
  least_connections = "least_conn leastconn least-connections least_request least_requests lc",
  least_latency = "ewma peak_ewma latency least_time leasttime fastest response_time",
  ip_hash = "source src iphash client_ip",
  consistent_hash = "chash ring_hash ringhash maglev hash hashing consistent uri consistent-hashing ketama",
}

elsewhere.health_check = by_word {
  active = "http tcp",
  ["active.path"] = "path uri http_path url endpoint",
  ["active.interval"] = "interval inter",
  ["active.timeout"] = "timeout",
  ["active.type"] = "type",
  ["active.healthy"] = "rise healthy healthy_threshold passes",
  ["active.unhealthy"] = "fall unhealthy unhealthy_threshold fails",
  ["active.expect"] = "expect status statuses expected_statuses",
  ["passive.failures"] = "max_fails consecutive_failures consecutive_5xx",
  ["passive.eject"] = "fail_timeout base_ejection_time",
  ["passive.max_ejected"] = "max_ejection_percent",
  panic = "panic_threshold healthy_panic_threshold",
}

elsewhere.active = by_word {
  path = "uri url http_path endpoint httpchk",
  method = "http_method",
  headers = "req_headers request_headers header",
  interval = "inter period every",
  expect = "status statuses http_statuses expected_statuses expected_status match http_expect codes",
  body = "response_body expected_body contains string",
  healthy = "rise passes healthy_threshold successes success_threshold",
  unhealthy = "fall fails unhealthy_threshold failures failure_threshold max_fails",
  type = "protocol scheme kind",
}

elsewhere.passive = by_word {
  failures = "max_fails consecutive_failures consecutive_errors consecutive_5xx consecutive_gateway_errors " ..
             "http_failures tcp_failures fails error_limit unhealthy",
  eject = "fail_timeout base_ejection_time ejection_time duration",
  error_ratio = "failure_ratio error_rate failure_percentage_threshold",
  min_requests = "min_volume minimum_requests request_volume success_rate_request_volume",
  window = "interval",
  max_ejected = "max_ejection_percent max_ejection",
}

elsewhere.timeouts = by_word {
  connect = "dial dial_timeout connect_timeout",
  send = "write write_timeout send_timeout",
  first_byte = "read read_timeout response response_timeout response_header server header headers",
  idle = "body idle_timeout",
}

elsewhere.retries = by_word {
  attempts = "count max num_retries retries max_retries max_attempts tries number",
  on = "retry_on conditions when retry_if statuses status_codes retriable_status_codes retryable_status_codes",
  per_try = "per_try_timeout timeout try_timeout",
  backoff = "retry_back_off back_off interval delay wait",
  ["services.NAME.retries.budget"] = "retry_budget ratio",
  hedge = "hedging hedge_policy hedge_after",
  methods = "allowed_methods http_methods",
}

--- Words of `retries.on`.
elsewhere.causes = by_word {
  connect = "connect-failure connect_failure conn-failure connection connection_refused refused error",
  reset = "refused-stream reset-before-request reset_before_request empty-response junk-response invalid_header " ..
          "closed disconnect",
  timeout = "response-timeout response_timeout timeouts deadline",
  ["502-504"] = "gateway-error gateway_error",
  ["5xx"] = "http_5xx retriable-status-codes all-retryable-errors",
  ["500"] = "http_500",
  ["502"] = "http_502",
  ["503"] = "http_503",
  ["504"] = "http_504",
  ["429"] = "http_429",
}

elsewhere.backoff = by_word {
  base = "base_interval initial min interval start",
  max = "max_interval cap limit",
}

elsewhere.budget = by_word {
  share = "percent budget_percent ratio retry_ratio",
  min = "min_retries_per_second min_retry_concurrency minimum",
}

elsewhere.pool = by_word {
  idle_per_node = "size max_idle max_idle_per_node keepalive max_idle_connections idle_connections",
  idle = "idle_timeout keepalive_timeout max_idle_time",
  lifetime = "max_lifetime max_age max_connection_duration keepalive_time",
  max_requests = "keepalive_requests requests max_requests_per_connection requests_per_connection",
  max_per_node = "max max_connections max_conns maxconn limit",
  queue = "queue_size backlog max_queue max_pending_requests max_pending maxqueue",
  queue_timeout = "wait_timeout acquire_timeout timeout_queue",
}

elsewhere.tls = by_word {
  verify = "insecure insecure_skip_verify skip_verify ssl_verify tls_verify verify_peer",
  ca = "ca_file ca_cert ca_certificate trusted_ca ca_certificates trusted_certificate",
  server_name = "sni hostname host name",
  client_cert = "cert certificate client_certificate key",
}

elsewhere.sticky = by_word {
  cookie = "name cookie_name type",
  max_age = "ttl expires duration",
  secret = "key hash",
}

elsewhere.overload = by_word {
  max_requests = "limit max concurrency max_concurrent max_connections max_in_flight",
  least = "min minimum min_limit",
  most = "max_limit maximum",
  queue = "queue_size max_queue max_pending_requests",
  queue_timeout = "timeout wait",
}

elsewhere.circuit_breaker = by_word {
  error_ratio = "threshold error_threshold failure_ratio failure_rate failure_threshold error_rate " ..
                "failure_rate_threshold error_percentage errors",
  slow = "slow_call_duration slow_threshold slow_call_duration_threshold",
  slow_ratio = "slow_call_ratio slow_call_rate slow_call_rate_threshold",
  window = "interval sliding_window period window_size",
  min_requests = "min_volume min_calls minimum_calls minimum_number_of_calls volume volume_threshold " ..
                 "request_volume_threshold",
  open = "timeout open_duration break_duration sleep_window cooldown wait_duration reset_timeout open_for " ..
         "break_response_time max_breaker_sec recovery_time",
  probes = "half_open_requests half_open max_probes permitted_calls half_open_max_calls success_threshold",
}

elsewhere.discovery = by_word {
  dns = "srv name hostname service_name",
  file = "path",
}

elsewhere.websocket = by_word {
  ping_interval = "ping heartbeat heartbeat_interval ping_period",
  pong_wait = "ping_timeout pong_timeout read_timeout",
  write_wait = "write_timeout send_timeout",
  idle = "idle_timeout timeout",
  max_message = "max_message_size message_size max_payload max_payload_size max_size max_frame_size max_frame limit",
  allow_origins = "origins allowed_origins check_origin origin",
  headers = "header request_headers handshake_headers",
  on_change = "on_reload",
}

elsewhere.route = by_word {
  path = "uri location prefix match route",
  paths = "uris locations",
  methods = "method http_methods",
  hosts = "domains server_name server_names",
  host = "domain",
  service = "upstream upstream_id service_id proxy_pass backend target use_backend cluster to",
  split = "weighted_clusters traffic_split weighted_backends",
  respond = "return response direct_response",
  strip_prefix = "strip_path stripprefix",
  add_prefix = "prefix_rewrite",
  rewrite = "regex_rewrite url_rewrite path_rewrite",
  timeout = "timeouts request_timeout",
  retries = "retry retry_policy",
  circuit_breaker = "breaker api-breaker",
  websocket = "enable_websocket websockets ws upgrade_configs",
  plugins = "middlewares filters middleware",
}

return elsewhere
