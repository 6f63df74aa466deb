/* admin_access: who may have which page of the admin endpoint. Pure; any thread.
 *
 *                  health, metrics, the page's shell   status   commands
 *   remote         yes                                 token    token
 *   loopback       yes                                 yes(1)   token
 *   unix socket    yes                                 yes      token
 *   control        yes                                 yes      yes
 *
 * (1) With a Host that is no name but localhost: a web page whose own name was made to point at 127.0.0.1 (DNS rebinding)
 * gets nothing, as it does not know the token either. A command is refused for any Origin and any such Host, whatever else
 * the request holds. */
#ifndef CORE_ADMIN_ACCESS_H
#define CORE_ADMIN_ACCESS_H

#include "core/admin.h"

enum admin_right {
    ADMIN_RIGHT_ALL,    /* everybody's */
    ADMIN_RIGHT_LOCAL,  /* what tells of names and traffic */
    ADMIN_RIGHT_COMMAND /* what changes something */
};

enum admin_verdict {
    ADMIN_GRANTED,
    ADMIN_TOKEN_WANTED,   /* none was shown, or another */
    ADMIN_TOKEN_UNSET,    /* none is configured that could be shown */
    ADMIN_ORIGIN_REFUSED, /* it comes from a web page */
    ADMIN_HOST_REFUSED    /* it was sent to another name */
};

/* token: ADMIN_TOKEN, or empty. */
enum admin_verdict admin_access(const struct admin_request *request, enum admin_right right, struct slice token);

#endif
