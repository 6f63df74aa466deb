/* control: the one loop that is not a worker's: signals, the keeper with its store and its CA, publications and their
 * acknowledgement, draining, the admin endpoint. It assembles everything and owns it. Runs on the thread that calls it. */
#ifndef CORE_CONTROL_H
#define CORE_CONTROL_H

#include "base/log.h"
#include "config/config.h"

/* Serves until it is told to end. Starts the log's writer; takes over SIGINT, SIGTERM, SIGQUIT, SIGHUP and SIGUSR1,
 * which other threads never see; ignores SIGPIPE. Returns the process's exit code: 0 clean, 1 fatal (said in the log), 3
 * the drain's cap cut requests, 78 configuration that only showed itself now (TLS_CERT). environment: what
 * config was read from, for reloads. version: a literal for User-Agent and build info. take_over: relieves the process that
 * serves the same storage (core/handover.h). */
int core_run(const struct config *config, const char *const *environment, struct log *log, const char *version,
             bool take_over);

#endif
