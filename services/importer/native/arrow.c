#include "arrow.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024

static size_t width(ColumnType type) { return type == INT32 || type == TEXT ? 4 : 8; }

static bool grow(void **buffer, size_t size) {
    void *larger = realloc(*buffer, size);
    if (larger != NULL) *buffer = larger;
    return larger != NULL;
}

static bool column_reserve(Column *column, int64_t before, int64_t capacity) {
    size_t bits = (size_t)capacity / 8, values = (size_t)(capacity + 1) * width(column->type);
    if (!grow((void **)&column->validity, bits) || !grow(&column->values, values)) return false;
    memset(column->validity + before / 8, 0xFF, bits - (size_t)before / 8);
    if (column->type == TEXT && before == 0) *(int32_t *)column->values = 0;
    return true;
}

bool batch_reserve(Batch *batch) {
    if (batch->length < batch->capacity) return true;
    int64_t capacity = batch->capacity ? 2 * batch->capacity : FIRST_CAPACITY;
    for (int i = 0; i < batch->count; i++)
        if (!column_reserve(&batch->columns[i], batch->capacity, capacity)) return false;
    batch->capacity = capacity;
    return true;
}

void batch_truncate(Batch *batch, int64_t length) {
    for (int i = 0; i < batch->count; i++) {
        Column *column = &batch->columns[i];
        for (int64_t row = length; row < batch->length && column->nulls; row++) {
            uint8_t bit = (uint8_t)(1 << row % 8);
            column->nulls -= !(column->validity[row / 8] & bit);
            column->validity[row / 8] |= bit;
        }
        if (column->type == TEXT && batch->capacity)
            column->text.size = (size_t)((int32_t *)column->values)[length];
    }
    batch->length = length;
}

static void column_free(Column *column) {
    free(column->validity);
    free(column->values);
    text_free(&column->text);
    column->validity = NULL;
    column->values = NULL;
    column->nulls = 0;
}

void batch_free(Batch *batch) {
    for (int i = 0; i < batch->count; i++) column_free(&batch->columns[i]);
    batch->length = batch->capacity = 0;
}

void put_null(Column *column, int64_t row) {
    column->validity[row / 8] &= (uint8_t)~(1 << row % 8);
    column->nulls++;
    if (column->type == TEXT) ((int32_t *)column->values)[row + 1] = ((int32_t *)column->values)[row];
    else memset((uint8_t *)column->values + (size_t)row * width(column->type), 0, width(column->type));
}

void put_int64(Column *column, int64_t row, int64_t value) { ((int64_t *)column->values)[row] = value; }

void put_int32(Column *column, int64_t row, int32_t value) { ((int32_t *)column->values)[row] = value; }

void put_double(Column *column, int64_t row, double value) { ((double *)column->values)[row] = value; }

static bool end_text(Column *column, int64_t row) {
    if (column->text.size > INT32_MAX) return false;
    ((int32_t *)column->values)[row + 1] = (int32_t)column->text.size;
    return true;
}

bool put_text(Column *column, int64_t row, Slice value) {
    Text *text = &column->text;
    if (!text_reserve(text, value.size)) return false;
    memcpy(text->bytes + text->size, value.start, value.size);
    text->size += value.size;
    return end_text(column, row);
}

bool put_compact(Column *column, int64_t row, Slice json) {
    return json_append_compact(&column->text, json) && end_text(column, row);
}

/* Export. Releasing a parent frees the structures of its children. The buffers of a child are freed by the child's own
   release, because a consumer may move children out of their parent. */

static void release_child(struct ArrowArray *array) {
    for (int64_t i = 0; i < array->n_buffers; i++) free((void *)array->buffers[i]);
    free(array->buffers);
    array->release = NULL;
}

static void release_parent(struct ArrowArray *array) {
    for (int64_t i = 0; i < array->n_children; i++) {
        struct ArrowArray *child = array->children[i];
        if (child->release != NULL) child->release(child);
        free(child);
    }
    free(array->children);
    free(array->buffers);
    array->release = NULL;
}

static bool export_column(Column *column, int64_t length, struct ArrowArray *out) {
    bool is_text = column->type == TEXT;
    const void **buffers = calloc(3, sizeof *buffers);
    if (buffers == NULL || (is_text && !text_reserve(&column->text, 1))) return free(buffers), false;
    *out = (struct ArrowArray){.length = length,
                               .null_count = column->nulls,
                               .n_buffers = is_text ? 3 : 2,
                               .buffers = buffers,
                               .release = release_child};
    buffers[0] = column->validity;
    buffers[1] = column->values;
    buffers[2] = column->text.bytes;
    if (column->nulls == 0) free(column->validity), buffers[0] = NULL;
    column->validity = NULL;
    column->values = NULL;
    column->text = (Text){0};
    column->nulls = 0;
    return true;
}

bool batch_export(Batch *batch, struct ArrowArray *out) {
    struct ArrowArray parent = {.length = batch->length, .n_buffers = 1, .release = release_parent};
    parent.buffers = calloc(1, sizeof *parent.buffers);
    parent.children = calloc((size_t)batch->count, sizeof *parent.children);
    bool is_done = parent.buffers != NULL && parent.children != NULL;
    for (int i = 0; is_done && i < batch->count; i++) {
        struct ArrowArray *child = malloc(sizeof *child);
        is_done = child != NULL && export_column(&batch->columns[i], batch->length, child);
        if (is_done) parent.children[parent.n_children++] = child;
        else free(child);
    }
    if (!is_done) return release_parent(&parent), false;
    batch->length = batch->capacity = 0;
    *out = parent;
    return true;
}

static void release_schema(struct ArrowSchema *schema) {
    for (int64_t i = 0; i < schema->n_children; i++) {
        struct ArrowSchema *child = schema->children[i];
        if (child->release != NULL) child->release(child);
        free(child);
    }
    free(schema->children);
    free((void *)schema->name);
    schema->release = NULL;
}

static const char *format_of(ColumnType type) {
    switch (type) {
    case INT64: return "l";
    case INT32: return "i";
    case DOUBLE: return "g";
    default: return "u";
    }
}

bool batch_schema(const Batch *batch, struct ArrowSchema *out) {
    struct ArrowSchema parent = {.format = "+s", .release = release_schema};
    parent.name = strdup("");
    parent.children = calloc((size_t)batch->count, sizeof *parent.children);
    bool is_done = parent.name != NULL && parent.children != NULL;
    for (int i = 0; is_done && i < batch->count; i++) {
        struct ArrowSchema *child = malloc(sizeof *child);
        char *name = strdup(batch->columns[i].name);
        is_done = child != NULL && name != NULL;
        if (!is_done) {
            free(child);
            free(name);
            break;
        }
        *child = (struct ArrowSchema){.format = format_of(batch->columns[i].type),
                                      .name = name,
                                      .flags = ARROW_FLAG_NULLABLE,
                                      .release = release_schema};
        parent.children[parent.n_children++] = child;
    }
    if (!is_done) return release_schema(&parent), false;
    *out = parent;
    return true;
}
