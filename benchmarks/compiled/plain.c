/* A yardstick: a plain log call of forklog in C, with the bounds and the fork safety of the Python.

   It does what benchmarks/subjects/one_function.py does: fork mark, call site, %, JSON, insertId,
   time, join, append, bound and wake-up. JSON stays orjson's. Whatever is not plain goes to the
   handler's own `handle`. It is a prototype to measure, for CPython on Linux, and nothing ships it.
*/

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#define NAMES(each) \
    each(filters) each(formatter) each(product) each(mark) each(opening) each(buffer) \
    each(_append) each(bytes) each(alarm_bytes) each(wake_rank) each(_alarm) each(on_wake) \
    each(msg) each(args) each(created) each(pathname) each(lineno) each(funcName) each(name) \
    each(levelno) each(exc_info) each(exc_text) each(stack_info) each(has_sources) \
    each(modules_seen)
#define DECLARE(text) static PyObject *s_##text;
NAMES(DECLARE)

typedef struct {
    PyObject_HEAD
    PyObject *handler, *whole, *gate, *context, *scope, *site_of, *stamp_of, *dumps, *kind;
    Py_ssize_t fields, room;
    PyObject *sites; /* (rank, fragment) by the parts of a call site */
    PyObject *product, *opening, *lanes, *buffer; /* of the process that `mark` belongs to */
    Py_buffer mark;
    double second;
    PyObject *stamp; /* the text of that second */
} Plain;

static int is_false(PyObject *of, PyObject *name) {
    PyObject *value = PyObject_GetAttr(of, name);
    if (!value) return -1;
    int truth = PyObject_IsTrue(value);
    Py_DECREF(value);
    return truth < 0 ? -1 : !truth;
}

static long number_of(PyObject *of, PyObject *name) {
    PyObject *value = PyObject_GetAttr(of, name);
    if (!value) return -1;
    long number = PyLong_AsLong(value);
    Py_DECREF(value);
    return number;
}

static int take_over(Plain *self, PyObject *product) {
    if (self->product && self->mark.obj) PyBuffer_Release(&self->mark);
    PyObject *mark = PyObject_GetAttr(product, s_mark);
    PyObject *opening = PyObject_GetAttr(product, s_opening);
    PyObject *buffer = PyObject_GetAttr(product, s_buffer);
    PyObject *lanes = buffer ? PyObject_GetAttr(buffer, s__append) : NULL;
    PyObject *counter = opening ? PyObject_GetAttrString(opening, "__self__") : NULL;
    int failed = !lanes || !counter || !mark || PyObject_GetBuffer(mark, &self->mark, PyBUF_SIMPLE);
    Py_XDECREF(mark);
    Py_XDECREF(opening);
    if (failed) return -1;
    Py_XSETREF(self->opening, counter);
    Py_XSETREF(self->buffer, buffer);
    Py_XSETREF(self->lanes, lanes);
    Py_XSETREF(self->product, Py_NewRef(product));
    return 0;
}

/* 1 if this process's pipeline is known, 0 if the handler's own path has to make it. */
static int is_ours(Plain *self) {
    int filters = is_false(self->handler, s_filters), form = is_false(self->handler, s_formatter);
    if (filters < 0 || form < 0) return -1;
    if (!filters || !form) return 0;
    PyObject *product = PyObject_GetAttr(self->gate, s_product);
    if (!product) return -1;
    int failed = product != self->product && take_over(self, product);
    Py_DECREF(product);
    if (failed) return -1;
    return *(volatile char *)self->mark.buf != 0;
}

static int has_context(Plain *self) {
    PyObject *scope = NULL, *modules = PySys_GetObject("modules");
    if (PyContextVar_Get(self->scope, NULL, &scope) < 0) return -1;
    Py_XDECREF(scope);
    if (scope && scope != Py_None) return 1;
    int none = is_false(self->context, s_has_sources);
    if (none < 0) return -1;
    return !none || number_of(self->context, s_modules_seen) != PyDict_GET_SIZE(modules);
}

static PyObject *site(Plain *self, PyObject *record) {
    PyObject *names[] = {s_pathname, s_lineno, s_funcName, s_name, s_levelno};
    PyObject *key = PyTuple_New(5);
    if (!key) return NULL;
    for (int i = 0; i < 5; i++) {
        PyObject *value = PyObject_GetAttr(record, names[i]);
        if (!value) { Py_DECREF(key); return NULL; }
        PyTuple_SET_ITEM(key, i, value);
    }
    PyObject *found = Py_XNewRef(PyDict_GetItemWithError(self->sites, key));
    if (!found && !PyErr_Occurred()) {
        found = PyObject_CallOneArg(self->site_of, record);
        if (found && PyDict_SetItem(self->sites, key, found)) Py_CLEAR(found);
    }
    Py_DECREF(key);
    return found;
}

/* Text of the whole second; ".123456789" of the rest goes to `digits`. */
static int time_text(Plain *self, double created, char *digits) {
    double rest = created - self->second;
    if (!(rest >= 0.0 && rest < 1.0)) {
        PyObject *found = PyObject_CallFunction(self->stamp_of, "d", created);
        if (!found) return -1;
        self->second = PyFloat_AsDouble(PyTuple_GET_ITEM(found, 0));
        Py_XSETREF(self->stamp, Py_NewRef(PyTuple_GET_ITEM(found, 1)));
        Py_DECREF(found);
        rest = created - self->second;
    }
    long ns = (long)(rest * 1e9);
    digits[0] = '.';
    for (int i = 9; i > 0; i--, ns /= 10) digits[i] = '0' + ns % 10;
    return 0;
}

static PyObject *joined(PyObject *id, PyObject *stamp, const char *digits, PyObject *fragment,
                        PyObject *text) {
    PyObject *parts[] = {id, stamp, NULL, fragment, text};
    Py_ssize_t size = 10 + 1;
    for (int i = 0; i < 5; i++) size += parts[i] ? PyBytes_GET_SIZE(parts[i]) : 0;
    PyObject *entry = PyBytes_FromStringAndSize(NULL, size);
    if (!entry) return NULL;
    char *at = PyBytes_AS_STRING(entry);
    for (int i = 0; i < 5; i++) {
        Py_ssize_t length = parts[i] ? PyBytes_GET_SIZE(parts[i]) : 10;
        memcpy(at, parts[i] ? PyBytes_AS_STRING(parts[i]) : digits, length);
        at += length;
    }
    *at = '}';
    return entry;
}

static int append(Plain *self, long rank, PyObject *entry) {
    PyObject *done = PyObject_CallOneArg(PyTuple_GET_ITEM(self->lanes, rank), entry);
    if (!done) return -1;
    Py_DECREF(done);
    long bytes = number_of(self->buffer, s_bytes) + PyBytes_GET_SIZE(entry);
    PyObject *number = PyLong_FromLong(bytes);
    if (!number || PyObject_SetAttr(self->buffer, s_bytes, number)) return -1;
    Py_DECREF(number);
    if (bytes > number_of(self->buffer, s_alarm_bytes)) {
        PyObject *alarmed = PyObject_CallMethodNoArgs(self->buffer, s__alarm);
        if (!alarmed) return -1;
        Py_DECREF(alarmed);
    }
    if (rank >= number_of(self->buffer, s_wake_rank)) {
        PyObject *woken = PyObject_CallMethodNoArgs(self->buffer, s_on_wake);
        if (!woken) return -1;
        Py_DECREF(woken);
    }
    return 0;
}

/* The JSON of the message, None where the record is not plain. */
static PyObject *text_of(Plain *self, PyObject *record) {
    PyObject *message = PyObject_GetAttr(record, s_msg), *args = PyObject_GetAttr(record, s_args);
    PyObject *text = NULL;
    if (!message || !args) goto end;
    if (!PyUnicode_CheckExact(message)) { text = Py_NewRef(Py_None); goto end; }
    int has_args = PyObject_IsTrue(args);
    if (has_args < 0) goto end;
    if (has_args) Py_SETREF(message, PyUnicode_Format(message, args));
    if (message) text = PyObject_CallOneArg(self->dumps, message);
    if (text && (PyBytes_GET_SIZE(text) > self->room || PyBytes_AS_STRING(text)[1] == '{' ||
                 !strcmp(PyBytes_AS_STRING(text), "\"None\"")))
        Py_SETREF(text, Py_NewRef(Py_None));
end:
    Py_XDECREF(message);
    Py_XDECREF(args);
    return text;
}

static int is_plain(Plain *self, PyObject *record) {
    if ((PyObject *)Py_TYPE(record) != self->kind) return 0;
    PyObject *rest[] = {s_exc_info, s_exc_text, s_stack_info};
    for (int i = 0; i < 3; i++) {
        int none = is_false(record, rest[i]);
        if (none <= 0) return none;
    }
    PyObject *given = PyObject_GenericGetDict(record, NULL);
    if (!given) return -1;
    int is_bare = PyDict_GET_SIZE(given) == self->fields;
    Py_DECREF(given);
    return is_bare;
}

static PyObject *handle(PyObject *object, PyObject *record) {
    Plain *self = (Plain *)object;
    PyObject *text = NULL, *place = NULL, *id = NULL, *entry = NULL, *created = NULL;
    char digits[10];
    int ours = is_ours(self);
    if (ours <= 0) return ours ? NULL : PyObject_CallOneArg(self->whole, record);
    int failed = 1;
    text = text_of(self, record);
    if (!text) goto end;
    if (text == Py_None) { Py_DECREF(text); return PyObject_CallOneArg(self->whole, record); }
    if (!(place = site(self, record))) goto end;
    int plain = is_plain(self, record);
    if (plain < 0) goto end;
    int known = plain ? has_context(self) : 1;
    if (known < 0) goto end;
    if (known) {
        Py_DECREF(text);
        Py_DECREF(place);
        return PyObject_CallOneArg(self->whole, record);
    }
    if (!(created = PyObject_GetAttr(record, s_created))) goto end;
    if (time_text(self, PyFloat_AsDouble(created), digits)) goto end;
    if (!(id = Py_TYPE(self->opening)->tp_iternext(self->opening))) goto end;
    entry = joined(id, self->stamp, digits, PyTuple_GET_ITEM(place, 1), text);
    failed = !entry || append(self, PyLong_AsLong(PyTuple_GET_ITEM(place, 0)), entry);
end:
    Py_XDECREF(text);
    Py_XDECREF(place);
    Py_XDECREF(created);
    Py_XDECREF(id);
    Py_XDECREF(entry);
    return failed ? NULL : Py_NewRef(Py_True);
}

static PyMethodDef methods[] = {{"handle", handle, METH_O, "Queue one record."}, {NULL}};

static int init(PyObject *object, PyObject *args, PyObject *Py_UNUSED(options)) {
    Plain *self = (Plain *)object;
    if (!PyArg_ParseTuple(args, "OOOOOOOOOnn", &self->handler, &self->whole, &self->gate,
                          &self->context, &self->scope, &self->site_of, &self->stamp_of,
                          &self->dumps, &self->kind, &self->fields, &self->room))
        return -1;
    PyObject *kept[] = {self->handler, self->whole, self->gate, self->context, self->scope,
                        self->site_of, self->stamp_of, self->dumps, self->kind};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) Py_INCREF(kept[i]); /* for good */
    self->second = -10.0;
    return (self->sites = PyDict_New()) ? 0 : -1;
}

static PyTypeObject type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "plain.Plain",
    .tp_basicsize = sizeof(Plain),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = init,
    .tp_methods = methods,
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, "plain", NULL, -1};

PyMODINIT_FUNC PyInit_plain(void) {
#define INTERN(text) s_##text = PyUnicode_InternFromString(#text);
    NAMES(INTERN)
    PyObject *made = PyModule_Create(&module);
    if (!made || PyType_Ready(&type) || PyModule_AddObjectRef(made, "Plain", (PyObject *)&type))
        return NULL;
    return made;
}
