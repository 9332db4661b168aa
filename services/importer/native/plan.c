#include "plan.h"

#include <stdlib.h>
#include <string.h>

static bool copy_text(const char **text) {
    if (*text != NULL) *text = strdup(*text);
    return *text != NULL;
}

static void fields_free(const Field *fields, int64_t count) {
    for (int64_t i = 0; fields != NULL && i < count; i++) {
        free((void *)fields[i].name);
        free((void *)fields[i].column);
    }
    free((void *)fields);
}

/* Returns NULL if there is no memory. An array of none has room for one, so that it is never NULL. */
static const Field *fields_copy(const Field *fields, int64_t count) {
    Field *copy = calloc((size_t)count + 1, sizeof *copy);
    for (int64_t i = 0; copy != NULL && i < count; i++) {
        Field field = fields[i];
        field.name_size = (int64_t)strlen(field.name);
        bool has_name = copy_text(&field.name), has_column = copy_text(&field.column);
        copy[i] = field;
        if (!has_name || !has_column) return fields_free(copy, i + 1), NULL;
    }
    return copy;
}

static const char *bytes_copy(const char *bytes, int64_t count) {
    char *copy = malloc((size_t)count + 1);
    if (copy != NULL) memcpy(copy, bytes, (size_t)count);
    return copy;
}

Plan *plan_copy(const Plan *plan) {
    Plan *copy = malloc(sizeof *copy);
    if (copy == NULL) return NULL;
    *copy = *plan;
    copy->fields = fields_copy(plan->fields, plan->field_count);
    copy->parts = fields_copy(plan->parts, plan->part_count);
    if (plan->kept != NULL) copy->kept = bytes_copy(plan->kept, plan->kept_count);
    bool is_whole = copy_text(&copy->path);
    is_whole &= copy_text(&copy->ticker);
    is_whole &= copy_text(&copy->row_field) || plan->row_field == NULL;
    is_whole &= copy->fields != NULL && copy->parts != NULL && (copy->kept != NULL || plan->kept == NULL);
    if (!is_whole) return plan_free(copy), NULL;
    return copy;
}

void plan_free(Plan *plan) {
    if (plan == NULL) return;
    fields_free(plan->fields, plan->field_count);
    fields_free(plan->parts, plan->part_count);
    free((void *)plan->path);
    free((void *)plan->ticker);
    free((void *)plan->row_field);
    free((void *)plan->kept);
    free(plan);
}
