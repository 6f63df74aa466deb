#include "exchange/upstream_log.h"

void upstream_log_unreachable(struct exchange_env *env, const struct config_group *group, struct slice host,
                              struct err err)
{
    LOG_WARN_EVENT(env->log, "upstream_unreachable", LOG_ERR("error", err),
                   LOG_SLICE("upstream", group->upstreams[0]->text), LOG_SLICE("host", host),
                   LOG_STR("msg",
                           "the backend takes no connection: is it running, and is its address in PORTICO_DOMAINS "
                           "or PORTICO_UPSTREAM right?"));
}

void upstream_log_failed(struct exchange_env *env, struct slice backend, struct slice host, struct err err)
{
    counters_add(env->counters, COUNTER_UPSTREAM_FAILURES, 1);
    LOG_WARN_EVENT(env->log, "upstream_failed", LOG_SLICE("upstream", backend), LOG_SLICE("host", host),
                   LOG_ERR("error", err));
}
