#include "http/request.h"

enum method method_of(struct slice name)
{
    switch (name.len) {
    case 3:
        if (memcmp(name.at, "GET", 3) == 0)
            return METHOD_GET;
        return memcmp(name.at, "PUT", 3) == 0 ? METHOD_PUT : METHOD_OTHER;
    case 4:
        if (memcmp(name.at, "POST", 4) == 0)
            return METHOD_POST;
        return memcmp(name.at, "HEAD", 4) == 0 ? METHOD_HEAD : METHOD_OTHER;
    case 5:
        if (memcmp(name.at, "PATCH", 5) == 0)
            return METHOD_PATCH;
        return memcmp(name.at, "TRACE", 5) == 0 ? METHOD_TRACE : METHOD_OTHER;
    case 6: return memcmp(name.at, "DELETE", 6) == 0 ? METHOD_DELETE : METHOD_OTHER;
    case 7:
        if (memcmp(name.at, "OPTIONS", 7) == 0)
            return METHOD_OPTIONS;
        return memcmp(name.at, "CONNECT", 7) == 0 ? METHOD_CONNECT : METHOD_OTHER;
    default: return METHOD_OTHER;
    }
}

#define REASON(status, text) case status: return SLICE_OF(text)

struct slice status_reason(int status)
{
    switch (status) {
        REASON(100, "Continue");
        REASON(101, "Switching Protocols");
        REASON(103, "Early Hints");
        REASON(200, "OK");
        REASON(201, "Created");
        REASON(202, "Accepted");
        REASON(204, "No Content");
        REASON(206, "Partial Content");
        REASON(301, "Moved Permanently");
        REASON(302, "Found");
        REASON(303, "See Other");
        REASON(304, "Not Modified");
        REASON(307, "Temporary Redirect");
        REASON(308, "Permanent Redirect");
        REASON(400, "Bad Request");
        REASON(401, "Unauthorized");
        REASON(403, "Forbidden");
        REASON(404, "Not Found");
        REASON(405, "Method Not Allowed");
        REASON(408, "Request Timeout");
        REASON(410, "Gone");
        REASON(411, "Length Required");
        REASON(413, "Content Too Large");
        REASON(414, "URI Too Long");
        REASON(415, "Unsupported Media Type");
        REASON(417, "Expectation Failed");
        REASON(418, "I'm a teapot");
        REASON(421, "Misdirected Request");
        REASON(422, "Unprocessable Content");
        REASON(426, "Upgrade Required");
        REASON(429, "Too Many Requests");
        REASON(431, "Request Header Fields Too Large");
        REASON(500, "Internal Server Error");
        REASON(501, "Not Implemented");
        REASON(502, "Bad Gateway");
        REASON(503, "Service Unavailable");
        REASON(504, "Gateway Timeout");
        REASON(505, "HTTP Version Not Supported");
    default: return SLICE_NONE;
    }
}
