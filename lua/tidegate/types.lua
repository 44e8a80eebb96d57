---@meta tidegate
-- The types of the plugin API for editors: annotations of the Lua language server, nothing that runs. In .luarc.json:
--   { "workspace.library": ["/usr/local/share/tidegate/lua"], "runtime.version": "LuaJIT" }
-- A spec compares all this with the real objects; docs/plugins.md explains it.
-- luacheck: ignore

-- -- plugins --

---@alias tide.Band "observe"|"security"|"cors"|"auth"|"limit"|"breaker"|"filter"|"transform"
---@alias tide.Stage "global"|"route"

---@alias tide.ResponseHook fun(self: table, res: tide.Response, req: tide.Request): tide.Reply?
---@alias tide.FailureHook fun(self: table, err: tide.Failure, req: tide.Request): tide.Reply?

---Body hooks give the chunk to send: nil leaves it as it is, "" drops it.
---@alias tide.RequestBodyHook fun(self: table, chunk: string, last: boolean, req: tide.Request): string?
---@alias tide.ResponseBodyHook
---| fun(self: table, chunk: string, last: boolean, res: tide.Response, req: tide.Request): string?

---What a plugin's file returns. Each hook is called with an instance, which `new` has made.
---@class tide.Plugin
---@field version? string semver: "1.0.0"
---@field description? string
---@field band? tide.Band where it runs among others; "filter" if nothing is said
---@field priority? number within its band, the higher first; 0 if nothing is said
---@field requires? string[] "request_id >= 1.0": plugins that must run for the same requests
---@field schema? table<string, tide.Field> its settings
---@field stages? tide.Stage[] where it can be used; both if nothing is said
---@field decode? boolean body hooks see bodies without their compression
---@field preflight? boolean its request hook answers CORS preflights: its routes get those for their methods
---@field new? fun(conf: table): table?, string? once per use in a configuration, per generation; never waits
---@field request? fun(self: table, req: tide.Request): tide.Reply? the head of the request is there
---@field request_body? tide.RequestBodyHook a chunk is on its way to the upstream
---@field upstream? fun(self: table, req: tide.Request, try: integer): tide.Reply? a node is about to be chosen
---@field response? tide.ResponseHook the head of the response is there
---@field response_body? tide.ResponseBodyHook a chunk is on its way to the client
---@field ws_open? fun(self: table, req: tide.Request) the request has become a WebSocket; nothing was passed yet
---@field message? fun(self: table, msg: tide.Message, req: tide.Request): string|false|nil a whole message, either way
---@field ws_close? fun(self: table, close: tide.WebsocketEnd, req: tide.Request) the WebSocket is over; never waits
---@field failure? tide.FailureHook the request failed inside the gateway
---@field log? fun(self: table, req: tide.Request, res: tide.Response) after the last byte; never waits
---@field close? fun(self: table) the last request of its generation is done

---One setting of a plugin.
---@class tide.Field
---@field type tide.FieldType
---@field required? boolean
---@field default? any as it would be written
---@field of? string[]|tide.Field|tide.FieldType words of an enum; items of a list or map
---@field fields? table<string, tide.Field> of an object
---@field keys? tide.FieldType of a map
---@field short? string of an object: the key that a lone value stands for
---@field single? boolean of a list: a lone value is a list of one
---@field words? table<string, any> words allowed besides the type, and what they become
---@field min? number|string of numbers, durations and sizes; bytes of a text; items of a list or map
---@field max? number|string
---@field match? string a Lua pattern
---@field expects? string words for messages instead of the type's
---@field template? boolean ${client_ip} and its like may stand in it
---@field check? fun(value: any): boolean, string?
---@field doc? string
---@field unit? string

---@alias tide.FieldType
---| "address" # an address to listen on
---| "any"
---| "boolean"
---| "cidr"
---| "condition" # as `when` has them
---| "duration" # seconds in Lua
---| "enum"
---| "file"
---| "header_name"
---| "cookie_name"
---| "service"
---| "host"
---| "host_pattern"
---| "integer"
---| "json"
---| "list"
---| "map"
---| "method"
---| "name"
---| "node"
---| "number"
---| "object"
---| "path"
---| "path_pattern"
---| "percent" # a share from 0 to 1 in Lua
---| "regex"
---| "secret" # never shown
---| "size" # bytes in Lua
---| "status"
---| "string"
---| "template"
---| "url"

---What `req:reply` gives, to be returned by the hook.
---@class tide.Reply

---Why a request failed, for a failure hook.
---@class tide.Failure
---@field reason string as in the log: "upstream connect timed out"
---@field status integer what the client gets

-- -- the request --

---@class tide.Tls
---@field version string "TLSv1.3"
---@field cipher string
---@field sni? string the name that the client asked for

---@class tide.Route
---@field name string

---@class tide.Request
---@field id string
---@field method string
---@field scheme "http"|"https"
---@field host string without port, in lower case
---@field port number
---@field path string in normal form
---@field raw_path string as it came
---@field query? string without its "?"
---@field version number 1.1
---@field client_ip string behind trusted proxies the client's own
---@field client_port number
---@field started number seconds since the epoch
---@field ctx table how plugins tell each other things; as long as the request
---@field tls? tide.Tls
---@field route? tide.Route nil before the request is routed
---@field params table<string, string> what the route's path has captured, as it stands in the path; empty before routing
---@field service? string
---@field node? string the one that was asked last
---@field websocket tide.Websocket the WebSocket that it has become
---@field consumer? any who it is from: an authentication plugin assigns it
local Request = {}

---The first value of a header field.
---@param name string in any case
---@return string?
function Request:header(name) end

---All values of a header field, in their order.
---@param name string
---@return string[]
function Request:header_all(name) end

---for name, value in req:each_header() do: names in lower case.
---@return fun(): string?, string?
function Request:each_header() end

---In place of all fields of that name; a list makes several.
---@param name string
---@param value string|number|(string|number)[]
function Request:set_header(name, value) end

---@param name string
---@param value string|number
function Request:add_header(name, value) end

---@param name string
function Request:remove_header(name) end

---The whole body; waits. "" where there is none, nil and why where it is longer.
---@param max? number bytes; 1 MiB if nothing is said
---@return string? body
---@return string? why
function Request:body(max) end

---The body as JSON; waits.
---@param max? number
---@return any value nil and why where it is none
---@return string? why
function Request:json(max) end

---Another body; a table becomes JSON.
---@param body string|table
function Request:set_body(body) end

---A query parameter, decoded; the first of several; true where it has no value.
---@param name string
---@return string|true|nil
function Request:arg(name) end

---All query parameters.
---@return table<string, string|true|(string|true)[]> args
---@return string? why some are missing
function Request:args() end

---@param args table
function Request:set_args(args) end

---@param name string
---@return string?
function Request:cookie(name) end

---The fields of a form; waits.
---@param max? number bytes
---@return table<string, string|true|(string|true)[]>? fields
---@return string? why
function Request:form(max) end

---@param method string
function Request:set_method(method) end

---Another path, and another query where one is behind a "?".
---@param path string
function Request:set_path(path) end

---@param host string with a port, if need be
function Request:set_host(host) end

---@param name string of a service in the configuration
function Request:set_service(name) end

---@param url string "http://host:port": in place of a node of the service
function Request:set_node(url) end

---@param key string what a service that balances by a hash picks its node by
function Request:set_hash_key(key) end

---@param id string
function Request:set_id(id) end

---@param bytes number a limit for the request body; it can only be made smaller
function Request:set_body_max(bytes) end

---A field in the access log's line of this request; nil takes it out.
---@param name string
---@param value any
---@return true? good
---@return string? why
function Request:set_log(name, value) end

---Looks into the frames of the WebSocket that this request opens, in place of what its route says of that.
---@param options tide.WebsocketOptions
function Request:set_websocket(options) end

---@param seconds number for the whole exchange, counted from its start
function Request:set_timeout(seconds) end

---Answers in place of the upstream: return req:reply(...).
---@param status integer
---@param body? string|table a table becomes JSON
---@param headers? table<string, string|number|(string|number)[]>
---@return tide.Reply
function Request:reply(status, body, headers) end

---Sends the client elsewhere: return req:redirect(...).
---@param url string
---@param status? integer 302 if nothing is said
---@return tide.Reply
function Request:redirect(url, status) end

-- -- WebSockets --

---@class tide.WebsocketOptions
---@field ping_interval? number seconds; 30 if nothing is said, 0: never
---@field pong_wait? number seconds; 60
---@field write_wait? number seconds; 10
---@field idle? number seconds; 0: never
---@field max_message? number bytes; 524288

---@class tide.Websocket
local Websocket = {}

---A message of the plugin's own.
---@param to "client"|"upstream"
---@param data string
---@param kind? "text"|"binary" text if nothing is said
---@return true? good
---@return string? why "closed" or "full"
function Websocket:send(to, data, kind) end

---Closes it on both sides.
---@param code? integer 1000 if nothing is said
---@param reason? string
---@return true? good
---@return string? why
function Websocket:close(code, reason) end

---@class tide.Message
---@field data string the whole message; may be assigned
---@field type "text"|"binary" may be assigned
---@field from "client"|"upstream"
local Message = {}

---A message to where this one came from.
---@param data string
---@param kind? "text"|"binary"
---@return true? good
---@return string? why
function Message:reply(data, kind) end

---Closes the WebSocket on both sides.
---@param code? integer
---@param reason? string
---@return true? good
---@return string? why
function Message:close(code, reason) end

---@class tide.WebsocketEnd
---@field code integer 1006 where there was no close frame, 1005 where it had no code
---@field by "client"|"upstream"|"gateway" who has begun to close
---@field why? string what was wrong
---@field messages_in number from the client
---@field messages_out number from the upstream
---@field bytes_in number
---@field bytes_out number

-- -- the response --

---@class tide.Response
---@field status integer
---@field source "upstream"|"plugin"|"gateway" who made it
---@field upstream_time? number seconds until the upstream answered
local Response = {}

---@param name string in any case
---@return string?
function Response:header(name) end

---@param name string
---@return string[]
function Response:header_all(name) end

---@return fun(): string?, string?
function Response:each_header() end

---@param name string
---@param value string|number|(string|number)[]
function Response:set_header(name, value) end

---@param name string
---@param value string|number
function Response:add_header(name, value) end

---@param name string
function Response:remove_header(name) end

---The whole body; waits.
---@param max? number bytes; 1 MiB if nothing is said
---@return string? body
---@return string? why
function Response:body(max) end

---@param max? number
---@return any value
---@return string? why
function Response:json(max) end

---@param body string|table
function Response:set_body(body) end

---@param status integer 200 to 599
function Response:set_status(status) end

---@param name string
---@param value string
---@param attributes? tide.CookieAttributes
function Response:set_cookie(name, value, attributes) end

-- -- the library --

---@class tide
---@field base64 tide.base64
---@field cidr tide.cidr
---@field cookie tide.cookie
---@field crypto tide.crypto
---@field http tide.http
---@field json tide.json
---@field jwt tide.jwt
---@field limiter tide.limiter
---@field log tide.log
---@field metrics tide.metrics
---@field re tide.re
---@field redis tide.redis
---@field socket tide.socket
---@field template tide.template
---@field timer tide.timer
---@field url tide.url
---@field uuid tide.uuid
tide = {}

---Seconds since the epoch.
---@return number
function tide.now() end

---Seconds of a clock that never jumps.
---@return number
function tide.monotonic() end

---Lets time pass; others go on meanwhile.
---@param seconds number
function tide.sleep(seconds) end

---Starts a function in the background; it ends with its generation.
---@param f function
---@param ... any
function tide.spawn(f, ...) end

---The dictionary of that name, which all loops share.
---@param name string
---@return tide.Dictionary
function tide.shared(name) end

---@class tide.CacheOptions
---@field name? string caches of one name share what they keep
---@field ttl number seconds that a value is good for
---@field negative_ttl? number seconds that "there is nothing" is good for; 0
---@field stale? number seconds after ttl in which the old value is given while one loads a new one; 0
---@field timeout? number the longest that a loader may take; 5
---@field retry? number seconds after a reload that failed; 1
---@field dictionary? string
---@field size? number

---A read-through cache.
---@param options tide.CacheOptions
---@return tide.Cache
function tide.cache(options) end

---@class tide.DictionaryStats
---@field bytes number
---@field bytes_used number
---@field entries number
---@field hits number
---@field misses number
---@field evictions number
---@field expired number

---@class tide.Dictionary
local Dictionary = {}
---@param key string
---@return string|number|boolean|nil
function Dictionary:get(key) end
---@param key string
---@param value string|number|boolean
---@param ttl? number seconds
---@return true?, string?
function Dictionary:set(key, value, ttl) end
---@param key string
---@param value string|number|boolean
---@param ttl? number
---@return true?, string?
function Dictionary:add(key, value, ttl) end
---@param key string
---@param value string|number|boolean
---@param ttl? number
---@return true?, string?
function Dictionary:replace(key, value, ttl) end
---@param key string
---@param by? number 1
---@param init? number 0: what an absent one is before
---@param ttl? number of one that is made by this
---@return number?, string?
function Dictionary:incr(key, by, init, ttl) end
---@param key string
---@param ttl? number
---@return true?, string?
function Dictionary:expire(key, ttl) end
---@param key string
---@return number?, string?
function Dictionary:ttl(key) end
---@param key string
---@return boolean
function Dictionary:delete(key) end
---@param most? integer 1024
---@return string[]
function Dictionary:keys(most) end
function Dictionary:flush() end
---@return tide.DictionaryStats
function Dictionary:stats() end

---@class tide.Cache
local Cache = {}
---@param key string
---@param loader fun(key: string, ...): any, any
---@param ... any
---@return any value
---@return any error
function Cache:get(key, loader, ...) end
---@param key string
---@param value any
function Cache:set(key, value) end
---@param key string
function Cache:delete(key) end

---@class tide.LimiterOptions
---@field kind? "token_bucket"|"leaky_bucket"|"fixed_window"|"sliding_window"
---@field rate number|{ limit: number, window: number } per second, or in a window of seconds
---@field burst? number
---@field name? string
---@field dictionary? string
---@field store? "local"

---@class tide.limiter
tide.limiter = {}
---@param options tide.LimiterOptions
---@return tide.Limiter
function tide.limiter.new(options) end

---@class tide.Limiter
---@field limit number the most that may be taken at once
local Limiter = {}
---@param key string
---@param cost? number 1; 0 only asks
---@return boolean? allowed nil with a reason where the key is too long
---@return number remaining
---@return number retry_after seconds
---@return number reset seconds
---@return number delay seconds to wait, of a leaky bucket
function Limiter:take(key, cost) end

---@class tide.log
tide.log = {}
---@param message any
---@param values? table<string, any>
function tide.log.debug(message, values) end
---@param message any
---@param values? table<string, any>
function tide.log.info(message, values) end
---@param message any
---@param values? table<string, any>
function tide.log.warn(message, values) end
---@param message any
---@param values? table<string, any>
function tide.log.error(message, values) end

---@class tide.timer
tide.timer = {}
---@param seconds number
---@param f function
---@return tide.Timer
function tide.timer.after(seconds, f) end
---@param seconds number at least 0.001
---@param f function
---@return tide.Timer
function tide.timer.every(seconds, f) end

---@class tide.Timer
local Timer = {}
function Timer:cancel() end

---@class tide.metrics
tide.metrics = {}
---@param name string
---@param help string
---@param labels? string[]
---@return tide.Metric
function tide.metrics.counter(name, help, labels) end
---@param name string
---@param help string
---@param labels? string[]
---@return tide.Metric
function tide.metrics.gauge(name, help, labels) end
---@param name string
---@param help string
---@param labels? string[]
---@param buckets? number[] upper bounds, rising
---@return tide.Metric
function tide.metrics.histogram(name, help, labels, buckets) end

---@class tide.Metric
local Metric = {}
---Counters and gauges.
---@param n? number 1
---@param ... any values of the labels
function Metric:inc(n, ...) end
---Gauges.
---@param value number
---@param ... any
function Metric:set(value, ...) end
---Histograms.
---@param value number
---@param ... any
function Metric:observe(value, ...) end

-- -- tide.http, docs/http_client.md --

---@class tide.HttpOptions
---@field url? string this or service
---@field service? string a service of the configuration
---@field path? string with service
---@field method? string "GET"
---@field headers? table<string, string|number|(string|number)[]>
---@field query? table
---@field body? string|table
---@field json? any
---@field timeout? number seconds for everything; 5
---@field connect_timeout? number seconds
---@field max_body? number bytes; 1 MiB
---@field follow? integer redirects to follow; 0
---@field on_chunk? fun(chunk: string, res: tide.HttpResponse)
---@field tls? { verify?: boolean, ca?: string, server_name?: string }

---@class tide.HttpResponse
---@field status integer
---@field headers table<string, string> names in any case
---@field body? string
---@field url? string
local HttpResponse = {}
---@param name string
---@return string?
function HttpResponse:header(name) end
---@param name string
---@return string[]
function HttpResponse:header_all(name) end
---@return any value
---@return string? why
function HttpResponse:json() end

---@class tide.http
tide.http = {}
---@param options tide.HttpOptions
---@return tide.HttpResponse?, string? why, string? doing
function tide.http.request(options) end
---@param text string URL
---@param options? tide.HttpOptions
---@return tide.HttpResponse?, string? why, string? doing
function tide.http.get(text, options) end
---@param text string URL
---@param options? tide.HttpOptions
---@return tide.HttpResponse?, string? why, string? doing
function tide.http.post(text, options) end
---@param text string URL
---@param options? tide.HttpOptions
---@return tide.HttpResponse?, string? why, string? doing
function tide.http.put(text, options) end
---@param text string URL
---@param options? tide.HttpOptions
---@return tide.HttpResponse?, string? why, string? doing
function tide.http.delete(text, options) end

-- -- tide.socket and tide.redis, docs/sockets.md --

---@class tide.SocketTls
---@field verify? boolean true
---@field server_name? string
---@field ca? string a PEM file
---@field cert? string a PEM file
---@field key? string a PEM file

---@class tide.SocketOptions
---@field host? string a name or an address
---@field port? integer
---@field unix? string the path of a socket
---@field tls? boolean|tide.SocketTls
---@field timeout? number seconds of each call; 5
---@field connect_timeout? number
---@field pool? string

---@class tide.DatagramOptions
---@field host? string
---@field port? integer
---@field unix? string
---@field timeout? number seconds of each call; 5

---@class tide.socket
tide.socket = {}
---@param options tide.SocketOptions
---@return tide.Socket?, string? why
function tide.socket.connect(options) end
---@param options tide.DatagramOptions
---@return tide.Datagram?, string? why
function tide.socket.udp(options) end

---@class tide.Socket
local Socket = {}
---@param text string
---@return true?, string? why
function Socket:send(text) end
---@param what integer|"line"|"any"|"all"
---@param max? number bytes
---@return string?, string? why, string? partial
function Socket:receive(what, max) end
---@param text string
---@param max? number bytes
---@return string?, string? why, string? partial
function Socket:receive_until(text, max) end
---@param read number seconds
---@param write? number seconds
function Socket:set_timeout(read, write) end
---@param left? number seconds
function Socket:set_deadline(left) end
function Socket:close() end
---@return boolean
function Socket:is_open() end
---@return integer
function Socket:reused() end
---@param idle_seconds? number 60
---@param pool_size? integer 32
---@return true?, string? why
function Socket:keep(idle_seconds, pool_size) end

---@class tide.Datagram
local Datagram = {}
---@param text string
---@return true?, string? why
function Datagram:send(text) end
---@param max? number 65535
---@return string?, string? why
function Datagram:receive(max) end
---@param read number seconds
---@param write? number seconds
function Datagram:set_timeout(read, write) end
---@param left? number seconds
function Datagram:set_deadline(left) end
function Datagram:close() end
---@return boolean
function Datagram:is_open() end

---@class tide.RedisOptions
---@field host? string "127.0.0.1"
---@field port? integer 6379
---@field unix? string
---@field username? string
---@field password? string
---@field db? integer
---@field tls? boolean|tide.SocketTls
---@field timeout? number seconds of a command or pipeline; 5
---@field connect_timeout? number
---@field max_reply? number bytes
---@field pool? { size?: integer, idle?: number }

---@class tide.redis
---@field null table stands for a null reply inside of others
tide.redis = {}
---@param options? tide.RedisOptions
---@return tide.RedisClient
function tide.redis.new(options) end
---@param value any
---@return boolean
function tide.redis.is_error(value) end

---Every command is a method: client:get("key"), client:hset("key", "field", "value").
---@class tide.RedisClient
---@field [string] fun(self: tide.RedisClient, ...): any, string?
local RedisClient = {}
---@param name string
---@param ... string|number
---@return any reply
---@return string? why
function RedisClient:command(name, ...) end
---@param f fun(p: table)
---@return any[]? replies
---@return string? why
function RedisClient:pipeline(f) end
---@param f fun(t: table): false?
---@param options? { watch?: string[] }
---@return any[]? results
---@return string? why
function RedisClient:transaction(f, options) end
---@param source string
---@return tide.RedisScript
function RedisClient:script(source) end

---@class tide.RedisScript
local RedisScript = {}
---@param keys? (string|number)[]
---@param args? (string|number)[]
---@return any result
---@return string? why
function RedisScript:run(keys, args) end

-- -- what policies are made of, docs/library.md --

---@class tide.json
---@field null userdata
tide.json = {}
---@param text string
---@param options? { max_depth?: integer, max_bytes?: integer }
---@return any value
---@return string? why
function tide.json.decode(text, options) end
---@param value any
---@param options? { sorted?: boolean, pretty?: boolean }
---@return string?, string? why
function tide.json.encode(value, options) end
---@param list? table
---@return table
function tide.json.array(list) end

---@class tide.base64
tide.base64 = {}
---@param text string
---@return string
function tide.base64.encode(text) end
---@param text string
---@return string?, string? why
function tide.base64.decode(text) end
---@param text string
---@return string
function tide.base64.encode_url(text) end
---@param text string
---@return string?, string? why
function tide.base64.decode_url(text) end

---@class tide.Url
---@field scheme? string
---@field user? string
---@field host? string
---@field port? integer
---@field path string
---@field query? string
---@field fragment? string

---@class tide.url
tide.url = {}
---@param text string
---@return string
function tide.url.escape(text) end
---@param text string
---@return string?, string? why
function tide.url.unescape(text) end
---@param text string
---@return tide.Url?, string? why
function tide.url.parse(text) end
---@param parts table
---@return string?, string? why
function tide.url.build(parts) end
---@param base string
---@param reference string
---@return string?, string? why
function tide.url.join(base, reference) end
---@param text string
---@param options? { max?: integer, list?: boolean }
---@return table?, string? why
function tide.url.parse_query(text, options) end
---@param arguments table
---@return string
function tide.url.build_query(arguments) end

---@class tide.CookieAttributes
---@field path? string
---@field domain? string
---@field max_age? number seconds; 0 removes the cookie
---@field expires? number seconds since the epoch
---@field secure? boolean
---@field http_only? boolean
---@field partitioned? boolean
---@field same_site? "Strict"|"Lax"|"None"

---@class tide.cookie
tide.cookie = {}
---@param header string
---@return table<string, string>?, string? why
function tide.cookie.parse(header) end
---@param header string
---@param name string
---@return string?
function tide.cookie.get(header, name) end
---@param name string
---@param value string
---@param attributes? tide.CookieAttributes
---@return string?, string? why
function tide.cookie.serialize(name, value, attributes) end

---@class tide.template
tide.template = {}
---@param text string
---@param options? { names?: table<string, function>, response?: boolean, getenv?: function }
---@return (fun(req: tide.Request, res?: tide.Response): string)?, string? why
function tide.template.compile(text, options) end

---@class tide.re
tide.re = {}
---@param pattern string
---@param flags? string
---@return tide.Regex?, string? why
function tide.re.compile(pattern, flags) end
---@param text string
---@return string
function tide.re.escape(text) end
---@param subject string
---@param pattern string
---@param flags? string
---@return table?, string? why
function tide.re.match(subject, pattern, flags) end
---@param subject string
---@param pattern string
---@param flags? string
---@return boolean?, string? why
function tide.re.test(subject, pattern, flags) end
---@param subject string
---@param pattern string
---@param replacement string|fun(match: table): string?
---@param flags? string
---@return string?, integer|string
function tide.re.gsub(subject, pattern, replacement, flags) end

---@class tide.Regex
---@field pattern string
local Regex = {}
---@param subject string
---@param init? integer
---@return table?, string? why
function Regex:match(subject, init) end
---@param subject string
---@return boolean?, string? why
function Regex:test(subject) end
---@param subject string
---@param init? integer
---@return integer?, integer|string|nil
function Regex:find(subject, init) end
---@param subject string
---@return fun(): table?
function Regex:gmatch(subject) end
---@param subject string
---@param replacement string|fun(match: table): string?
---@param limit? integer
---@return string?, integer|string
function Regex:gsub(subject, replacement, limit) end
---@param subject string
---@param most? integer
---@return string[]?, string? why
function Regex:split(subject, most) end
---Replaces in texts that come in pieces, as body hooks get them.
---@param replacement string|fun(match: table): string?
---@param options? { max?: integer }
---@return table?, string? why
function Regex:replacer(replacement, options) end

---@class tide.cidr
tide.cidr = {}
---@param text string
---@return tide.Network?, string? why
function tide.cidr.parse(text) end
---@param list string[]
---@return tide.Networks?, string? why
function tide.cidr.set(list) end
---@param text string
---@return 4|6|nil
function tide.cidr.family(text) end

---@class tide.Network
---@field family 4|6
---@field address string
---@field bits integer
---@field text string
local Network = {}
---@param ip string
---@return boolean
function Network:contains(ip) end

---@class tide.Networks
---@field count integer
local Networks = {}
---@param ip string
---@return boolean
function Networks:contains(ip) end

---@class tide.Key
---@field kind "rsa"|"ec"|"okp"|"secret"
---@field is_private boolean
---@field bits? integer
---@field curve? string
---@field kid? string
---@field alg? string

---@alias tide.Digest "sha1"|"sha256"|"sha384"|"sha512"|"md5"
---@alias tide.Algorithm
---| "HS256"
---| "HS384"
---| "HS512"
---| "RS256"
---| "RS384"
---| "RS512"
---| "PS256"
---| "PS384"
---| "PS512"
---| "ES256"
---| "ES384"
---| "ES512"
---| "EdDSA"

---@class tide.crypto
tide.crypto = {}
---@param algorithm tide.Digest
---@param data string
---@return string?, string? why
function tide.crypto.digest(algorithm, data) end
---@param algorithm tide.Digest
---@param key string
---@param data string
---@return string?, string? why
function tide.crypto.hmac(algorithm, key, data) end
---@param bytes string
---@return string
function tide.crypto.hex(bytes) end
---@param text string
---@return string?, string? why
function tide.crypto.from_hex(text) end
---@param n integer
---@return string
function tide.crypto.random(n) end
---@param a string
---@param b string
---@return boolean
function tide.crypto.equal(a, b) end
---@param source string|table PEM or JWK
---@return tide.Key?, string? why
function tide.crypto.key(source) end
---@param bytes string
---@return tide.Key?, string? why
function tide.crypto.secret(bytes) end
---@param name tide.Algorithm
---@param with tide.Key
---@param data string
---@return string?, string? why
function tide.crypto.sign(name, with, data) end
---@param name tide.Algorithm
---@param with tide.Key
---@param data string
---@param signed string
---@return boolean?, string? why
function tide.crypto.verify(name, with, data, signed) end
---@param key string 16, 24 or 32 bytes
---@param data string
---@param options? { aad?: string, iv?: string }
---@return string?, string? why
function tide.crypto.aes_gcm_encrypt(key, data, options) end
---@param key string
---@param sealed string
---@param options? { aad?: string }
---@return string?, string? why
function tide.crypto.aes_gcm_decrypt(key, sealed, options) end
---@param secret string
---@param salt string
---@param rounds integer
---@param size integer
---@param algorithm? tide.Digest
---@return string?, string? why
function tide.crypto.pbkdf2(secret, salt, rounds, size, algorithm) end
---@param given string
---@param rounds? integer
---@return string?, string? why
function tide.crypto.hash_password(given, rounds) end
---@param kept string
---@param given string
---@return boolean?, string? why
function tide.crypto.verify_password(kept, given) end

---@class tide.JwtVerifyOptions
---@field keys any a key, keys by kid, or fun(kid, header) that gives one
---@field algs tide.Algorithm[]
---@field iss? string|string[]
---@field aud? string|string[]
---@field leeway? number seconds
---@field required? string[]
---@field clock? fun(): number

---@class tide.JwtSignOptions
---@field alg tide.Algorithm
---@field key tide.Key
---@field kid? string
---@field typ? string

---@class tide.jwt
tide.jwt = {}
---@param token string
---@param options tide.JwtVerifyOptions
---@return table? claims
---@return table|string header or why
---@return string? code
function tide.jwt.verify(token, options) end
---@param claims table
---@param options tide.JwtSignOptions
---@return string?, string? why
function tide.jwt.sign(claims, options) end
---@param token string
---@return table? claims
---@return table|string header or why
---@return string? code
function tide.jwt.decode_unverified(token) end

---@class tide.uuid
tide.uuid = {}
---@return string
function tide.uuid.v4() end
---@return string
function tide.uuid.v7() end
---@param given string
---@return string?, integer|string
function tide.uuid.parse(given) end
---@param given string
---@param version? integer
---@return boolean
function tide.uuid.is_valid(given, version) end

return tide
