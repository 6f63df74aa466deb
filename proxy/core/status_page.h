/* status_page: the one HTML page of the admin endpoint, compiled in (core/page.html): it holds no figure, takes nothing
 * from elsewhere, and asks /status and /status/traffic. Pure; any thread. */
#ifndef CORE_STATUS_PAGE_H
#define CORE_STATUS_PAGE_H

#include "core/admin.h"

/* Body and Content-Security-Policy, which lets the page's own script and style run by this nonce and nothing else. */
void status_page_write(const uint64_t nonce[2], struct admin_answer *answer);

#endif
