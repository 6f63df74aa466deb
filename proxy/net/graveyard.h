/* graveyard: objects without handles that ended while our code may still be on the stack. They are freed in uv_prepare:
 * never below one of our callbacks, never waiting through a poll. One loop's thread. */
#ifndef NET_GRAVEYARD_H
#define NET_GRAVEYARD_H

struct grave {
    struct grave *next;
    void (*free)(struct grave *grave);
};

struct graveyard {
    struct grave *first;
};

void graveyard_bury(struct graveyard *graveyard, struct grave *grave, void (*free)(struct grave *grave));
void graveyard_sweep(struct graveyard *graveyard);

#endif
