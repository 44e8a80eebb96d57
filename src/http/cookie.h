#pragma once
/* cookie: the Cookie fields of a request, RFC 6265 section 4.2. Nothing is decoded, copied or allocated. */
#include "http/request.h"

/* One cookie of a field's value: the first of that name. Spaces and one pair of quotes around it are cut off. False
 * where there is none. The name is a token (RFC 9110 section 5.6.2). */
bool cookie_get(struct slice field, struct slice name, struct slice *value);
/* The same over all Cookie fields, in their order. */
bool cookie_of_request(const struct request *r, struct slice name, struct slice *value);
