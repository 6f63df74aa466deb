/* portico [run]: configuration and log, then the control thread takes over. */
#include "cli/cli.h"

#include "core/control.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum log_format log_format_of(const struct config *config, int fd)
{
    if (config->log.format == CONFIG_LOG_AUTO)
        return isatty(fd) ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
    return config->log.format == CONFIG_LOG_TEXT ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
}

/* JOURNAL_STREAM names the descriptor that leads there, by device and inode (systemd.exec(5)). */
static bool leads_to_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat stat;
    char text[64];
    if (!stream || fstat(fd, &stat) != 0)
        return false;
    snprintf(text, sizeof text, "%ju:%ju", (uintmax_t)stat.st_dev, (uintmax_t)stat.st_ino);
    return strcmp(text, stream) == 0;
}

int cli_run(const struct cli_call *call)
{
    struct config *config;
    bool take_over;
    int refused = cli_flag_or_nothing(call, "run", "--take-over", &take_over);
    if (refused)
        return refused;
    config = cli_load(call, config_load);
    if (!config)
        return CLI_EXIT_CONFIG;
    struct log *log = log_new(STDOUT_FILENO, log_format_of(config, STDOUT_FILENO), config->log.level);
    if (leads_to_journal(STDOUT_FILENO))
        log_tell_priorities(log);
    /* Starts the log's writer, once it has masked the signals. */
    int code = core_run(config, call->environment, log, call->version, take_over);
    log_stop(log);
    log_free(log);
    config_unref(config);
    return code;
}
