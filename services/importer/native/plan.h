/* The format of a file's records, and what to read of them. Python fills these structures (reader/library.py):
   a change here needs the same change there, and another READER_ABI in stream.h. */
#ifndef GEXLAKE_PLAN_H
#define GEXLAKE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    NUMBER = 'n',  /* DOUBLE */
    INTEGER = 'i', /* INT32 */
    ARRAY = 'a',   /* TEXT, any array */
    NUMBERS = 'v', /* TEXT, an array of numbers and nulls */
} Kind;

/* A field of a record, or an element of a row. */
typedef struct {
    const char *name;
    const char *column;
    int64_t name_size;   /* set by plan_copy */
    int32_t kind;        /* a Kind */
    int32_t is_required; /* 0 or 1 */
} Field;

typedef struct {
    const char *path;
    const char *ticker;    /* in capitals */
    const char *row_field; /* the array whose elements are rows; NULL if there is none */
    const Field *fields;
    const Field *parts; /* the elements of a row */
    const char *kept;   /* a byte for each record of the file, 0 if its rows are dropped; NULL keeps all */
    int64_t field_count;
    int64_t part_count;
    int64_t kept_count;
    int64_t min_parts;
    int64_t block_bytes; /* the minimum to read at a time */
    int64_t batch_rows;  /* a batch ends with the record that reaches this many rows */
    int64_t max_record_bytes;
    int64_t max_records;
    int32_t max_depth;
    int32_t wants_rows; /* 1: one row an element of `row_field`; 0: one row a record */
} Plan;

/* Returns a copy that owns all it points to, or NULL if there is no memory. */
Plan *plan_copy(const Plan *plan);
void plan_free(Plan *plan);

#endif
