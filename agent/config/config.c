#include "agent/config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "agent/base/mem.h"
#include "agent/config/draft.h"
#include "agent/config/paths.h"
#include "agent/config/problems.h"
#include "agent/rules/file_bytes.h"
#include "watcher/digest.h"

/* More is no configuration but the wrong file. */
static const size_t FILE_MAX_BYTES = (size_t)4 << 20;

static void free_list(struct string_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}

static void clear_watch(struct watch_config *watch)
{
    free(watch->name);
    free(watch->path);
    free_list(&watch->include);
    free_list(&watch->exclude);
    free(watch->move_to);
    free(watch->prefer);
    for (size_t i = 0; i < watch->sidecar_pick_count; i++) {
        free(watch->sidecar_picks[i].field);
        free(watch->sidecar_picks[i].path);
    }
    free(watch->sidecar_picks);
    rules_free(watch->rules);
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->table_count; i++) {
        free(config->tables[i].name);
        free(config->tables[i].path);
    }
    for (size_t i = 0; i < config->watch_count; i++)
        clear_watch(&config->watches[i]);
    for (size_t i = 0; i < config->bandwidth.window_count; i++)
        free(config->bandwidth.windows[i].name);
    free(config->bandwidth.windows);
    free_list(&config->busy.command);
    free(config->tables);
    free(config->watches);
    free_list(&config->chorus.id_fields);
    free(config->chorus.url);
    free(config->chorus.token_file);
    free(config->chorus.ca_file);
    free(config->chorus.proxy);
    free(config->state_dir);
    free(config->control_dir);
    free(config->control_group);
    free(config->file);
    free(config);
}

static void fill_sections(struct config_draft *draft, const struct node *root)
{
    static const struct {
        const char *name;
        enum schema_section section;
    } sections[] = {{"chorus", IN_CHORUS},
                    {"upload", IN_UPLOAD},
                    {"delete", IN_DELETE},
                    {"bandwidth", IN_BANDWIDTH}};
    struct filled *filled[] = {&draft->chorus, &draft->upload, &draft->delete_, &draft->bandwidth};
    fill_defaults(IN_TOP, draft->config);
    fill_section(draft->problems, IN_TOP, root, 1, draft->config, &draft->top);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        int line = 0;
        const struct node *node = node_get(root, sections[i].name, &line);
        fill_defaults(sections[i].section, draft->config);
        fill_section(draft->problems, sections[i].section, node, line, draft->config, filled[i]);
    }
}

/* The watches pass from the drafts into the configuration. */
static void finish_draft(struct config_draft *draft)
{
    struct config *config = draft->config;
    config->watches = mem_array(draft->watch_count, sizeof config->watches[0]);
    config->watch_count = draft->watch_count;
    for (size_t i = 0; i < draft->watch_count; i++) {
        config->watches[i] = draft->watches[i].watch;
        watch_draft_clear(&draft->watches[i]);
    }
    free(draft->watches);
    free(draft->table_lines);
}

static void read_tree(struct config *config, struct config_problems *problems,
                      const struct node *root)
{
    struct config_draft draft = {.config = config, .problems = problems};
    int watches_line = 0;
    bool is_tree = root->kind == NODE_MAP || (root->kind == NODE_TEXT && root->bare);
    fill_sections(&draft, root);
    read_windows(&draft, node_get(node_get(root, "bandwidth", NULL), "windows", NULL));
    read_tables(&draft, node_get(root, "tables", NULL));
    const struct node *watches = node_get(root, "watches", &watches_line);
    if (is_tree)
        read_watches(&draft, watches, watches_line);
    check_all(&draft);
    finish_draft(&draft);
}

static void read_bytes(struct config *config, struct config_problems *problems, const char *bytes,
                       size_t n)
{
    static const char bom[] = "\xef\xbb\xbf";
    size_t skip = n >= 3 && memcmp(bytes, bom, 3) == 0 ? 3 : 0;
    if (digest_of(bytes, n, config->digest) != 0)
        problems_error(problems, 0, "its checksum cannot be taken");
    struct node *root = node_read(bytes + skip, n - skip, problems);
    if (root != NULL)
        read_tree(config, problems, root);
    node_free(root);
}

static void tell_unreadable(struct config_problems *problems, int error)
{
    if (error == EFBIG)
        problems_error(problems, 0, "the file is too large; allowed: up to %zu MiB",
                       FILE_MAX_BYTES >> 20);
    else if (error == EINVAL)
        problems_error(problems, 0, "this is no regular file");
    else
        problems_error(problems, 0, "cannot be read: %s%s", strerror(error),
                       error == ENOENT ? "; `chorus-agent init` writes one" : "");
}

static int load(const char *file, bool to_look, struct config **out,
                struct config_problems *problems)
{
    char *bytes;
    size_t n;
    *out = NULL;
    *problems = (struct config_problems){.file = mem_string(file), .to_look = to_look};
    struct config *config = mem_zalloc(sizeof *config);
    config->file = mem_string(file);
    int status = file_bytes_read(file, FILE_MAX_BYTES, &bytes, &n);
    if (status == 0)
        read_bytes(config, problems, bytes, n);
    else
        tell_unreadable(problems, -status);
    free(bytes);
    problems_sort(problems);
    if (problems->errors == 0) {
        *out = config;
        return 0;
    }
    config_free(config);
    return EX_CONFIG;
}

int config_load(const char *file, struct config **out, struct config_problems *problems)
{
    return load(file, false, out, problems);
}

int config_load_to_look(const char *file, struct config **out, struct config_problems *problems)
{
    return load(file, true, out, problems);
}

const struct watch_config *config_watch(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->watch_count; i++) {
        if (strcmp(config->watches[i].name, name) == 0)
            return &config->watches[i];
    }
    return NULL;
}

const struct watch_config *config_watch_of_path(const struct config *config, const char *path,
                                                size_t *root_length)
{
    for (size_t i = 0; i < config->watch_count; i++) {
        const struct watch_config *watch = &config->watches[i];
        if (!path_is_within(path, watch->path))
            continue;
        *root_length = path_root_length(watch->path);
        return watch;
    }
    return NULL;
}

/* The i-th key that has a value; sections have none. */
static const struct schema_key *help_key(size_t i)
{
    for (size_t k = 0; k < schema_count(); k++) {
        const struct schema_key *key = schema_at(k);
        if (key->type != IS_SECTION && i-- == 0)
            return key;
    }
    return NULL;
}

size_t config_key_count(void)
{
    size_t count = 0;
    while (help_key(count) != NULL)
        count++;
    return count;
}

struct config_key_help config_key_at(size_t i)
{
    const struct schema_key *key = help_key(i);
    if (key == NULL)
        return (struct config_key_help){"", "", "", ""};
    return (struct config_key_help){key->key, schema_type_name(key),
                                    key->default_text != NULL ? key->default_text : "", key->help};
}

struct table_set *config_new_tables(const struct config *config)
{
    const char **names = mem_array(config->table_count, sizeof *names);
    const char **paths = mem_array(config->table_count, sizeof *paths);
    for (size_t i = 0; i < config->table_count; i++) {
        names[i] = config->tables[i].name;
        paths[i] = config->tables[i].path;
    }
    struct table_set *tables = table_set_new(names, paths, config->table_count);
    free(names);
    free(paths);
    return tables;
}
