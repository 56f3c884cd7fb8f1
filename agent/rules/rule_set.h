/* What rules.c compiles and resolve.c applies; nobody else includes this. */
#ifndef CHORUS_RULES_RULE_SET_H
#define CHORUS_RULES_RULE_SET_H

#include "agent/rules/pattern.h"
#include "agent/rules/rules.h"
#include "agent/rules/template.h"

/* The templates of one rule that a watch may name for all of its rules. */
enum shared_slot {
    SLOT_NAME,
    SLOT_MEETING_ID,
    SLOT_CRM_ACCOUNT_ID,
    SLOT_CRM_OPPORTUNITY_ID,
    SLOT_COUNT
};

struct rule {
    char *title;                      /* or "rule 2"; escaped */
    char *called;                     /* in sentences: "rule by-agent", or "rule 2" */
    char *numbered;                   /* "rule 2 by-agent", or "rule 2" */
    struct pattern *pattern;          /* NULL: matches everything */
    char *skip;                       /* the reason, or NULL */
    struct template *owner;           /* NULL only beside skip */
    struct template *own[SLOT_COUNT]; /* NULL: that of the set holds */
    enum key_kind key_kind;
};

struct rule_set {
    struct rule *rules;
    size_t count;
    struct template *shared[SLOT_COUNT]; /* of the watch, or the default; never NULL */
    bool default_meeting_id; /* its {sha256} is the content, whatever groups a pattern has */
    struct template *call_key;
    struct template *sidecar; /* NULL: none */
    char *sidecar_glob;
    enum key_kind shared_key_kind; /* of a file that no rule takes, and a sidecar does */
};

/* Which template decides this slot of a rule. */
const struct template *rule_template(const struct rule_set *set, const struct rule *rule,
                                     enum shared_slot slot);

/* "name", "meeting_id", ... */
const char *rule_slot_name(enum shared_slot slot);

#endif
