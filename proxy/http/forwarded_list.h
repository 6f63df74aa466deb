/* forwarded_list: fields that are lists, read from the right, and the elements of Forwarded (RFC 7239 §4). Pure; all
 * results are views. Only http/forwarded*.c include this. Any thread. */
#ifndef HTTP_FORWARDED_LIST_H
#define HTTP_FORWARDED_LIST_H

#include "http/head.h"

/* All fields of one id as one list (RFC 9110 §5.3), from its last element on. */
struct forwarded_list {
    const struct fields *fields;
    enum field_id id;
    uint32_t num_left; /* fields[num_left] is being read, those before it are to come */
    struct slice rest; /* of it: what is left of the elements given so far */
};

struct forwarded_list forwarded_list_of(const struct fields *fields, enum field_id id);
/* The next element to the left that is not empty, trimmed; false at the end. A comma within a quoted string separates
 * nothing (lists of addresses have none: there a quote is unreadable anyhow); where quotes do not match, all the rest of
 * the field is one element, which does not parse. Linear in the field's bytes. */
bool forwarded_list_next(struct forwarded_list *list, struct slice *out_element);

struct forwarded_element {
    struct slice node, host, proto; /* for=, host=, proto=, without quotes, escapes as they came; empty: not there */
};

/* Parameters in any case and order, blanks around `;` allowed, `:`, `[` and `]` without quotes too (many write a port
 * so). False for anything else, and where for, by, host or proto stands twice. */
bool forwarded_element_parse(struct slice text, struct forwarded_element *out_element);

#endif
