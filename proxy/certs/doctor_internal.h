/* What the parts of the doctor share: doctor.c (what is asked, in which order), doctor_words.c (what is said of it). */
#ifndef CERTS_DOCTOR_INTERNAL_H
#define CERTS_DOCTOR_INTERNAL_H

#include "acme/challenge.h"
#include "certs/doctor.h"
#include "certs/issuer_look.h"
#include "certs/name_state.h"
#include "certs/persist.h"

struct doctor_name {
    struct doctor *doctor;
    struct slice text;
    const struct config_name *config; /* NULL: the configuration does not have it */
    struct doctor_known known;
    bool is_known;
    struct name_state state; /* where no process runs */
    struct preflight_run run;
    struct persist_look persist;
    struct findings findings;
    struct err persist_err;
};

struct doctor {
    struct doctor_options options;
    struct findings findings;
    struct issuer_look issuers[CONFIG_ISSUERS];
    struct issuer_look *issuer; /* looked at now */
    struct doctor_name *names;
    size_t num_names, name; /* looked at now */
    size_t num_pending;     /* names that are still looked at */
    struct store_call store_call;
    struct deferred begin;
};

/* Each adds findings, to those of all or of the name. */
void doctor_say_issuer(struct doctor *doctor, const struct issuer_look *issuer, const struct acme_reply *reply);
void doctor_say_certificate(struct doctor_name *name);
void doctor_say_persist(struct doctor_name *name);

#endif
