--- A WebSocket begins as an HTTP request, RFC 6455 section 3: the schemes of WebSockets.
return { ws = "http", wss = "https" }
