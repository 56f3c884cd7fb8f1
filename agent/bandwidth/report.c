#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "agent/bandwidth/bandwidth.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"

char *bandwidth_words(const struct bandwidth_now *now)
{
    char rate[RATE_TEXT], until[WHEN_TEXT], present[64] = "";
    rate_words(&now->rate, rate);
    when_local(now->until_ms, until);
    if (now->present > 0)
        snprintf(present, sizeof present, ", now %.3g Mbit/s", (double)now->present * 8 / 1e6);
    return mem_printf("%s%s%s%s%s%s%s%s", rate, present, now->window != NULL ? ", window " : "",
                      now->window != NULL ? now->window->name : "",
                      now->until_ms != 0 ? ", until " : "", now->until_ms != 0 ? until : "",
                      now->busy != NULL ? "; " : "", now->busy != NULL ? now->busy : "");
}

char *bandwidth_held_words(const struct bandwidth_now *now)
{
    char until[WHEN_TEXT];
    if (!rate_is_none(&now->rate))
        return mem_string("");
    if (now->busy != NULL)
        return mem_printf("nothing leaves (bandwidth.busy_rate is 0): %s", now->busy);
    when_local(now->until_ms, until);
    return mem_printf("nothing leaves%s%s (%s%s)", now->until_ms != 0 ? " until " : "",
                      now->until_ms != 0 ? until : "",
                      now->window != NULL ? "bandwidth window " : "bandwidth.rate is 0",
                      now->window != NULL ? now->window->name : "");
}

static void add_text_or_null(cJSON *json, const char *key, const char *text)
{
    if (text != NULL)
        cJSON_AddStringToObject(json, key, text);
    else
        cJSON_AddNullToObject(json, key);
}

void bandwidth_add_json(cJSON *root, const struct bandwidth_now *now)
{
    char rate[RATE_TEXT], until[WHEN_TEXT];
    char *words = bandwidth_words(now);
    cJSON *json = cJSON_AddObjectToObject(root, "bandwidth");
    rate_words(&now->rate, rate);
    when_rfc3339(now->until_ms, until);
    cJSON_AddStringToObject(json, "rate", rate);
    if (now->rate.kind == RATE_FIXED || now->present > 0)
        cJSON_AddNumberToObject(json, "bytes_per_s",
                                (double)(now->rate.bytes_per_s + now->present));
    else
        cJSON_AddNullToObject(json, "bytes_per_s");
    add_text_or_null(json, "window", now->window != NULL ? now->window->name : NULL);
    add_text_or_null(json, "until", now->until_ms != 0 ? until : NULL);
    add_text_or_null(json, "busy", now->busy);
    cJSON_AddStringToObject(json, "in_words", words);
    free(words);
}
