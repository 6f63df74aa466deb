/* portico doctor: why certificates will not come, or did not, with the cure for each cause. */
#include "cli/cli.h"

#include "base/json_write.h"
#include "certs/doctor.h"
#include "cli/ask.h"
#include "cli/print.h"
#include "cli/status_lines.h"
#include "cli/terminal.h"
#include "core/errand.h"
#include "core/status.h"
#include "store/storage_check.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { DOCTOR_ASK_MS = 5000 };

struct doctor_call {
    const struct cli_call *call;
    const struct config *config;
    struct slice name; /* empty: all */
    bool json;
    bool running;         /* a process serves this storage */
    struct answer status; /* its lines */
    struct findings findings;
    bool done;
};

/* ---- what the running process knows ---- */

static bool ask_process(struct doctor_call *doctor)
{
    struct ask ask = {.command = "doctor",
                      .method = "GET",
                      .path = "/status/lines",
                      .deadline_ms = ask_now_ms() + DOCTOR_ASK_MS,
                      .max_bytes = ASK_STATUS_BYTES};
    char *said = NULL;
    size_t len = 0;
    ask.err = open_memstream(&said, &len); /* that nobody answers is a finding, not a failure */
    if (!ask.err)
        return false;
    bool answered = ask_control(&ask, doctor->config->storage, true, &doctor->status) && doctor->status.status == 200;
    fclose(ask.err);
    free(said);
    return answered;
}

static void read_known(const struct slice at[STATUS_LINE_FIELDS], struct doctor_known *known)
{
    bool none = slice_eq(at[STATUS_LINE_SOURCE], SLICE_LIT("none")), fails = at[STATUS_LINE_CLASS].len > 0;
    *known = (struct doctor_known){.source = none ? SLICE_NONE : at[STATUS_LINE_SOURCE],
                                   .issuer = at[STATUS_LINE_ISSUER],
                                   .not_after_s = status_line_number(at[STATUS_LINE_NOT_AFTER]),
                                   .next_s = status_line_number(at[STATUS_LINE_NEXT]),
                                   .problem_class = at[STATUS_LINE_CLASS],
                                   .problem_sentence = fails ? at[STATUS_LINE_SENTENCE] : SLICE_NONE};
}

static bool line_is_of(struct slice field, struct slice name)
{
    return slice_starts(field, name) && (field.len == name.len || field.ptr[name.len] == ' ');
}

/* Of several certificates of a name, the one with a problem. */
static bool doctor_known(void *ctx, struct slice name, struct doctor_known *out_known)
{
    const struct doctor_call *doctor = ctx;
    struct slice lines = doctor->status.body, at[STATUS_LINE_FIELDS];
    bool found = false;
    while (lines.len) {
        if (!status_line_split(slice_split(&lines, '\n'), at, STATUS_LINE_FIELDS) ||
            !line_is_of(at[STATUS_LINE_NAME], name))
            continue;
        if (!found || at[STATUS_LINE_CLASS].len)
            read_known(at, out_known);
        found = true;
    }
    return found;
}

static void say_process(struct doctor_call *doctor)
{
    struct slice lines = doctor->status.body, at[STATUS_HEAD_FIELDS] = {{0}};
    if (!doctor->running) {
        struct finding *finding = findings_add(&doctor->findings, "process", "not-running", FINDING_WARN);
        finding->sentence = SLICE_LIT("no process with this PORTICO_STORAGE answers at its control socket");
        finding->cure =
            SLICE_LIT("start Portico; where it runs in a container or as another user, run this there and so");
        return;
    }
    if (!status_line_split(slice_split(&lines, '\n'), at, STATUS_HEAD_FIELDS))
        return;
    struct finding *finding = findings_add(&doctor->findings, "process", "running", FINDING_OK);
    finding->sentence = arena_printf(&doctor->findings.arena, "Portico %.*s is running (%.*s)", (int)at[1].len,
                                     at[1].ptr, (int)at[4].len, at[4].ptr);
    if (at[5].len == 0)
        return;
    finding = findings_add(&doctor->findings, "storage", "storage-trouble", FINDING_FAIL);
    finding->sentence =
        arena_printf(&doctor->findings.arena, "the process says of its storage: %.*s", (int)at[5].len, at[5].ptr);
    finding->cure = SLICE_LIT("while it cannot be written nothing is ordered from a public CA");
}

/* ---- the storage ---- */

static const char *storage_cure(enum storage_verdict verdict)
{
    switch (verdict) {
    case STORAGE_FINE:
    case STORAGE_ABSENT: return "";
    case STORAGE_CANNOT_BE_MADE:
        return "make it, and give it to the user that Portico runs as (chown), or mount a volume there";
    case STORAGE_NO_DIRECTORY: return "PORTICO_STORAGE takes a directory";
    case STORAGE_UNREADABLE:
        return "run this as the user that Portico runs as, and give the directory to that user (chown)";
    case STORAGE_READ_ONLY: return "mount it for writing: without storage nothing is ordered from a public CA";
    case STORAGE_NOT_WRITABLE:
        return "give it to the user that Portico runs as (chown), and make room where the disk is full";
    }
    return "";
}

static const char *storage_kind(enum storage_verdict verdict)
{
    switch (verdict) {
    case STORAGE_FINE: return "storage";
    case STORAGE_ABSENT: return "storage-absent";
    case STORAGE_CANNOT_BE_MADE: return "storage-cannot-be-made";
    case STORAGE_NO_DIRECTORY: return "storage-no-directory";
    case STORAGE_UNREADABLE: return "storage-unreadable";
    case STORAGE_READ_ONLY: return "storage-read-only";
    case STORAGE_NOT_WRITABLE: return "storage-not-writable";
    }
    return "";
}

static void say_durability(struct doctor_call *doctor, enum store_dir_durability durability)
{
    if (durability == STORE_DIR_DURABLE || doctor->config->acme.kind != CONFIG_DIRECTORY_PUBLIC)
        return;
    struct finding *finding = findings_add(&doctor->findings, "storage", "storage-not-durable", FINDING_WARN);
    finding->subject = doctor->config->storage;
    finding->sentence = arena_printf(
        &doctor->findings.arena,
        "%s is %s: certificates are lost with it, and the CA issues no more than five identical ones in seven days",
        doctor->config->storage.ptr, store_dir_durability_text(durability));
    finding->cure = SLICE_LIT("put PORTICO_STORAGE on a volume");
}

static void say_storage(struct doctor_call *doctor)
{
    const char *path = doctor->config->storage.ptr;
    struct storage_check check = storage_check(path);
    bool fine = check.verdict == STORAGE_FINE || check.verdict == STORAGE_ABSENT;
    struct finding *finding =
        findings_add(&doctor->findings, "storage", storage_kind(check.verdict), fine ? FINDING_OK : FINDING_FAIL);
    finding->subject = doctor->config->storage;
    finding->cure = slice_str(storage_cure(check.verdict));
    if (check.verdict == STORAGE_FINE)
        finding->sentence = arena_printf(&doctor->findings.arena, "%s can be read and written", path);
    else if (check.verdict == STORAGE_ABSENT)
        finding->sentence = arena_printf(&doctor->findings.arena, "%s is not there yet, and can be made", path);
    else
        finding->sentence = arena_printf(&doctor->findings.arena, "%s cannot be used: %s", path, strerror(check.error));
    say_durability(doctor, check.durability);
}

/* ---- what it looks like ---- */

static void print_level(FILE *file, enum finding_level level, bool color)
{
    static const char *const texts[] = {"ok", "warn", "FAIL"}, *const colors[] = {"\x1b[32m", "\x1b[33m", "\x1b[31m"};
    fprintf(file, "%s%-4s%s  ", color ? colors[level] : "", texts[level], color ? "\x1b[0m" : "");
}

enum { INDENT = 19, CHECK_COLUMNS = 11, TEXT_BYTES = 4096 };

/* A CA's words are among them: no control byte reaches a terminal. */
static void print_text(FILE *file, struct slice text, int columns)
{
    struct arena arena = {0};
    print_wrapped(file, finding_quote(&arena, text, TEXT_BYTES).ptr, INDENT, columns);
    arena_cleanup(&arena);
}

static bool is_of_a_name(const struct finding *finding)
{
    return finding->subject.len && !memchr(finding->subject.ptr, '/', finding->subject.len);
}

static void print_findings(const struct doctor_call *doctor)
{
    FILE *file = doctor->call->out;
    struct terminal terminal = terminal_of(doctor->call);
    int columns = terminal.columns > 2 * INDENT ? terminal.columns : INT_MAX;
    struct slice subject = SLICE_NONE;
    size_t num_failed = 0;
    for (size_t i = 0; i < doctor->findings.num; i++) {
        const struct finding *finding = &doctor->findings.items[i];
        num_failed += finding->level == FINDING_FAIL;
        if (is_of_a_name(finding) && !slice_eq(finding->subject, subject)) {
            subject = finding->subject;
            fprintf(file, "\n%.*s\n", (int)subject.len, subject.ptr);
        }
        print_level(file, finding->level, terminal.color);
        fprintf(file, "%-*s  ", CHECK_COLUMNS, finding->check);
        print_text(file, finding->sentence, columns);
        if (finding->cure.len) {
            fprintf(file, "%*s", INDENT, "-> ");
            print_text(file, finding->cure, columns);
        }
    }
    fprintf(file, "\n%zu of %zu checks failed\n", num_failed, doctor->findings.num);
}

static void print_json(const struct doctor_call *doctor)
{
    struct buf out = {0};
    struct json_writer w = json_writer_on(&out);
    json_object(&w);
    json_put_str(&w, "version", doctor->call->version);
    json_put_bool(&w, "running", doctor->running);
    json_put_bool(&w, "fine", findings_level(&doctor->findings) != FINDING_FAIL);
    json_key(&w, "findings");
    findings_write_json(&doctor->findings, &w);
    json_end_object(&w);
    buf_append_char(&out, '\n');
    fwrite(out.ptr, 1, out.len, doctor->call->out);
    buf_cleanup(&out);
}

/* ---- all of it ---- */

static void doctor_done(void *ctx, const struct findings *findings)
{
    struct doctor_call *doctor = ctx;
    findings_append(&doctor->findings, findings);
    doctor->done = true;
}

static void look(struct doctor_call *doctor, struct errand *errand)
{
    struct preflight_options preflight_options = {
        .loop = errand_loop(errand), .dns = errand_dns(errand), .version = doctor->call->version};
    struct preflight *preflight = preflight_new(&preflight_options);
    struct doctor_options options = {.loop = errand_loop(errand),
                                     .config = doctor->config,
                                     .clock = &clock_system,
                                     .dns = errand_dns(errand),
                                     .preflight = preflight,
                                     .store = errand_store(errand),
                                     .transport = errand_transport(errand),
                                     .name = doctor->name,
                                     .running = doctor->running,
                                     .ctx = doctor,
                                     .known = doctor_known,
                                     .done = doctor_done};
    struct doctor *looking = doctor_start(&options);
    errand_run(errand, &doctor->done);
    doctor_free(looking);
    preflight_free(preflight);
}

static int run_doctor(struct doctor_call *doctor)
{
    struct errand *errand;
    struct buf mistake = {0};
    struct err err = errand_new(doctor->config, doctor->call->version, &errand, &mistake);
    if (err_is(err)) {
        fprintf(doctor->call->err, "portico doctor: %s\n", buf_cstr(&mistake));
        buf_cleanup(&mistake);
        return CLI_EXIT_CONFIG;
    }
    doctor->running = ask_process(doctor);
    say_process(doctor);
    say_storage(doctor);
    look(doctor, errand);
    errand_free(errand);
    if (doctor->json)
        print_json(doctor);
    else
        print_findings(doctor);
    return findings_level(&doctor->findings) == FINDING_FAIL ? CLI_EXIT_FATAL : CLI_EXIT_CLEAN;
}

/* [--json] [NAME], in any order. */
static int read_args(struct doctor_call *doctor)
{
    const struct cli_call *call = doctor->call;
    for (size_t i = 0; i < call->num_args; i++) {
        struct slice arg = slice_str(call->args[i]);
        if (slice_eq(arg, SLICE_LIT("--json"))) {
            doctor->json = true;
        } else if (doctor->name.len == 0 && arg.len && arg.ptr[0] != '-') {
            doctor->name = arg;
        } else {
            fprintf(call->err, "portico doctor: takes --json and a name, or nothing, but got `%.64s`\n", call->args[i]);
            return CLI_EXIT_USAGE;
        }
    }
    return CLI_EXIT_CLEAN;
}

int cli_doctor(const struct cli_call *call)
{
    struct doctor_call doctor = {.call = call};
    int refused = read_args(&doctor);
    if (refused)
        return refused;
    struct config *config = cli_load(call, config_load);
    if (!config)
        return CLI_EXIT_CONFIG;
    doctor.config = config;
    int code = run_doctor(&doctor);
    answer_cleanup(&doctor.status);
    findings_cleanup(&doctor.findings);
    config_unref(config);
    return code;
}
