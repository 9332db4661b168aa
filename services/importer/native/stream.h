/* What Python calls (reader/library.py, by ctypes): the records of a staged file as an Arrow stream. */
#ifndef GEXLAKE_STREAM_H
#define GEXLAKE_STREAM_H

#include "arrow.h"
#include "plan.h"

#define EXPORTED __attribute__((visibility("default")))

/* Changes with the structures or functions that Python uses. */
#define READER_ABI 2

/* PyCapsule_GetPointer; the library is not linked with Python. */
typedef void *(*CapsulePointer)(void *capsule, const char *name);

/* Returns READER_ABI and the sizes of Plan and Field, each in 16 bits. */
EXPORTED int64_t reader_abi(void);
/* Must be called once before the first stream is opened. */
EXPORTED void reader_set_capsule_pointer(CapsulePointer function);
/* Returns a stream that reads the file of a plan, which is copied; NULL if there is no memory. */
EXPORTED struct ArrowArrayStream *reader_open(const Plan *plan);
/* Releases a stream that was not taken over, and frees the structure. */
EXPORTED void reader_close(struct ArrowArrayStream *stream);
/* The name of the capsule that holds a stream (arrow.apache.org, "The Arrow PyCapsule interface"). */
EXPORTED extern const char READER_CAPSULE_NAME[];
/* The destructor of that capsule. */
EXPORTED void reader_destroy_capsule(void *capsule);

#endif
