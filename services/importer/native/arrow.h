/* Columns that grow, exported as batches of the Arrow C data interface (arrow.apache.org, "The Arrow C data
   interface" and "The Arrow C stream interface"; the two structures of the first and that of the second). */
#ifndef GEXLAKE_ARROW_H
#define GEXLAKE_ARROW_H

#include "json.h"

#define ARROW_FLAG_NULLABLE 2

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

typedef enum { INT64 = 'l', INT32 = 'i', DOUBLE = 'g', TEXT = 'u' } ColumnType;

/* One column. Its buffers have room for `capacity` values; a bit of `validity` is 0 where the value is null. */
typedef struct {
    ColumnType type;
    const char *name;
    int64_t nulls;
    uint8_t *validity;
    void *values; /* of TEXT: a zero, and the end of each value in `text` */
    Text text;
} Column;

/* Columns of the same length. */
typedef struct {
    Column *columns;
    int count;
    int64_t length;
    int64_t capacity;
} Batch;

/* Reserves memory for one more row; false if there is none. */
bool batch_reserve(Batch *batch);
/* Removes all rows from `length` on. */
void batch_truncate(Batch *batch, int64_t length);
void batch_free(Batch *batch);
/* Moves the rows to `out`, which leaves the batch empty; false if there is no memory. */
bool batch_export(Batch *batch, struct ArrowArray *out);
bool batch_schema(const Batch *batch, struct ArrowSchema *out);

/* These set the cell of the row that was reserved last. */
void put_null(Column *column, int64_t row);
void put_int64(Column *column, int64_t row, int64_t value);
void put_int32(Column *column, int64_t row, int32_t value);
void put_double(Column *column, int64_t row, double value);
/* These return false if there is no memory, or more than 2 GiB of text in a column. */
bool put_text(Column *column, int64_t row, Slice value);
bool put_compact(Column *column, int64_t row, Slice json);

#endif
