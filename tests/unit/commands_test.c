/* The pages of commands: their queries, and what is answered where nothing can be begun. */
#include "core/commands.h"

#include "check.h"

static void check_query(const char *target, const char *key, const char *want)
{
    struct buf out = {0};
    CHECK_INT(commands_query(slice_str(target), key, &out), want != NULL);
    if (want)
        CHECK_SLICE(buf_slice(&out), want);
    buf_cleanup(&out);
}

static void parameters_are_read(void)
{
    check_query("/renew?name=a.example", "name", "a.example");
    check_query("/renew?force=1&name=*.a.example", "name", "*.a.example");
    check_query("/renew?force=1&name=*.a.example", "force", "1");
    check_query("/renew?name=%2a.a.example", "name", "*.a.example");
    check_query("/dry-run?directory=https://ca.test/dir%3Fa=b%26c", "directory", "https://ca.test/dir?a=b&c");
    check_query("/renew?name=", "name", "");
    check_query("/renew?name=one&name=two", "name", "one");
}

static void what_is_no_parameter_is_not_there(void)
{
    check_query("/renew", "name", NULL);
    check_query("/renew?", "name", NULL);
    check_query("/renew?nam=a", "name", NULL);
    check_query("/renew?xname=a", "name", NULL);
    check_query("/name=a", "name", NULL);
    check_query("/renew?name=%2", "name", NULL);
    check_query("/renew?name=%", "name", NULL);
    check_query("/renew?name=%zz", "name", NULL);
    check_query("/renew?name=a%0ab", "name", NULL); /* no line may be smuggled into an answer or a log */
    check_query("/renew?name=a%00", "name", NULL);
    check_query("/renew?name=%ff", "name", NULL);
}

static void check_answer(void (*page)(struct keeper *, const struct admin_request *, struct admin_answer *),
                         const char *target, unsigned status, const char *text)
{
    struct head head = {.method = METHOD_POST, .target = slice_str(target)};
    struct admin_request request = {.head = &head};
    struct admin_answer answer = {.status = 200};
    page(NULL, &request, &answer);
    CHECK_INT(answer.status, status);
    CHECK(strstr(buf_cstr(&answer.body), text));
    buf_cleanup(&answer.body);
}

static void before_there_is_a_keeper_all_is_refused(void)
{
    check_answer(commands_renew, "/renew", 400, "which name?");
    check_answer(commands_renew, "/renew?name=a.example", 409, "starting");
    check_answer(commands_revoke, "/revoke?name=a.example&reason=caCompromise", 400, "cessationOfOperation");
    check_answer(commands_revoke, "/revoke?name=a.example&reason=4", 409, "starting");
    check_answer(commands_revoke, "/revoke", 400, "which name?");
    check_answer(commands_account, "/account/change", 400, "which change?");
    check_answer(commands_account, "/account/change?to=delete", 400, "which change?");
    check_answer(commands_account, "/account/change?to=rollover", 409, "starting");
    check_answer(commands_dry_run, "/dry-run", 409, "starting");
    check_answer(commands_show_account, "/account", 200, "no account");
    check_answer(commands_look, "/command", 400, "which command?");
    check_answer(commands_look, "/command?id=x", 400, "which command?");
    check_answer(commands_look, "/command?id=7", 404, "no such command");
}

int main(void)
{
    RUN(parameters_are_read);
    RUN(what_is_no_parameter_is_not_there);
    RUN(before_there_is_a_keeper_all_is_refused);
    return checks_done();
}
