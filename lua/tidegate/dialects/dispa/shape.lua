--- What Dispa's configuration (TOML) looks like.
local fields = require "tidegate.dialects.fields"
local schema = require "tidegate.config.schema"

local ordered = schema.ordered

local text, truth, number, any = fields.text, fields.truth, fields.number, fields.any
local texts, map = fields.texts, fields.map
local section, list_of, required = fields.section, fields.list_of, fields.required

local TARGETS = section("targets",
  list_of("targets", required { "name", type = "name" }, required(text "url"), number "weight", number "timeout"),
  section("load_balancing",
          { "type", type = "enum", of = { "round_robin", "weighted", "random", "least_connections" } },
          truth "sticky_sessions"),
  section("health_check", truth "enabled", number "interval", number "timeout", number "healthy_threshold",
          number "unhealthy_threshold", text "path"))

local ROUTING = section("routing", truth "enable_logging", text "default_target",
  list_of("rules", { "name", type = "name" }, { "priority", type = "integer" }, truth "enabled",
          required(text "target"),
          section("match", text "path_prefix", text "path_regex", texts "method", map "headers", map "query_params"),
          section("transform", map "add_headers", texts "remove_headers")))

local PLUGINS = section("plugins", truth "enabled", truth "apply_before_domain_match",
  list_of("plugins", required(text "name"), required(text "type"), truth "enabled",
          { "stage", type = "enum", of = { "request", "response", "both" } },
          { "error_strategy", type = "enum", of = { "continue", "fail" } },
          { "config", type = "map", of = "any" }))

local SECURITY = section("security", truth "enabled",
  section("access_control", texts "allowed_ips", texts "denied_ips", truth "trust_proxy_headers"),
  section("auth", truth "enabled", { "mode", type = "enum", of = { "apikey", "bearer" }, required = true },
          text "header_name", texts "valid_keys", texts "valid_tokens"),
  section("rate_limit", truth "enabled", { "requests_per_second", type = "integer", min = 1 }, number "burst_size",
          number "window_size"),
  any "ddos",
  section("jwt", truth "enabled", text "secret", text "algorithm", truth "verify_exp", truth "verify_iat",
          text "header_name", text "prefix", text "jwks_url"))

return {
  type = "object",
  fields = ordered {
    section("server", text "bind_address", number "workers", number "keep_alive_timeout", number "request_timeout"),
    section("domains", texts "intercept_domains", texts "exclude_domains", truth "wildcard_support"),
    TARGETS,
    section("logging", truth "enabled", { "type", type = "enum", of = { "file", "database", "both" } },
            number "retention_days", any "database",
            section("file", text "directory", number "max_file_size", truth "rotation")),
    section("monitoring", truth "enabled", number "metrics_port", number "health_check_port"),
    section("tls", truth "enabled", text "cert_file", text "key_file", text "min_version", texts "cipher_suites"),
    ROUTING,
    any "cache",
    section("http_client", number "pool_size", number "connect_timeout", number "request_timeout",
            truth "http2_enabled", number "max_idle_connections", number "idle_timeout", text "user_agent"),
    PLUGINS,
    SECURITY,
  },
}
