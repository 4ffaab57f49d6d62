// What the JDBC driver does on the wire: names from the fifth use on, batches, savepoints of its own, portals in pieces,
// copies, cancels. It runs against any server at CLYRA_PORT and writes an outcome for every test into CLYRA_OUTCOMES.

import java.io.StringReader;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;

public class Jdbc {
    interface Body { void run(Connection c) throws Exception; }

    static final Map<String, String> outcomes = new LinkedHashMap<>();
    static Set<String> only;

    static Connection open(String options) throws SQLException {
        return DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + System.getenv("CLYRA_PORT") + "/postgres?user=postgres&" + options);
    }

    static void test(String name, String options, Body body) {
        if (!only.isEmpty() && !only.contains(name)) return;
        try (Connection c = open(options)) {
            run(c, "create temp table t (id int primary key, name text)");
            body.run(c);
            outcomes.put(name, "passed");
        } catch (Throwable e) {
            outcomes.put(name, "failed: " + e);
        }
    }

    static void run(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement()) { s.execute(sql); }
    }

    static int one(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(sql)) { r.next(); return r.getInt(1); }
    }

    static void is(Object found, Object wanted) {
        if (!Objects.equals(found, wanted)) throw new AssertionError(found + " instead of " + wanted);
    }

    interface Failing { void run() throws SQLException; }

    static void fails(String state, Failing body) {
        try { body.run(); } catch (SQLException e) { is(e.getSQLState(), state); return; }
        throw new AssertionError("it did not fail");
    }

    public static void main(String[] words) throws Exception {
        only = Set.of(words);
        for (String mode : List.of("extended", "simple", "extendedForPrepared", "extendedCacheEverything")) statements(mode);
        batches();
        transactions();
        copies();
        others();
        StringBuilder json = new StringBuilder();
        outcomes.forEach((name, outcome) -> json.append(json.length() == 0 ? "{" : ",").append('"').append(name).append("\":\"")
            .append(outcome.replace("\\", "\\\\").replace("\"", "\\\"").replaceAll("\\s+", " ")).append('"'));
        Files.writeString(Path.of(System.getenv("CLYRA_OUTCOMES")), json + "}");
    }

    static void statements(String mode) {
        String options = "preferQueryMode=" + mode;
        test("names from the fifth use on, " + mode, options, c -> {
            try (PreparedStatement p = c.prepareStatement("select ?::int + 1")) {
                for (int n = 0; n < 12; n++) { p.setInt(1, n); try (ResultSet r = p.executeQuery()) { r.next(); is(r.getInt(1), n + 1); } }
            }
        });
        test("two statements in one, " + mode, options, c -> {
            try (Statement s = c.createStatement()) {
                is(s.execute("insert into t values (1, 'a;b'); select 7"), false);
                is(s.getUpdateCount(), 1);
                is(s.getMoreResults(), true);
                s.getResultSet().next();
                is(s.getResultSet().getInt(1), 7);
            }
        });
        test("two statements, the second wrong, " + mode, options, c -> {
            fails("22012", () -> run(c, "insert into t values (1, 'a'); select 1 / 0"));
            is(one(c, "select count(*) from t"), 0);
        });
        test("whether it lives, " + mode, options, c -> { is(c.isValid(5), true); is(one(c, "select 1"), 1); });
        test("a plan that no longer fits, " + mode, options, c -> {
            try (PreparedStatement p = c.prepareStatement("select * from t")) {
                for (int n = 0; n < 7; n++) p.executeQuery().close();
                run(c, "alter table t add more int");
                p.executeQuery().close();
            }
        });
        test("names forgotten, " + mode, options, c -> {
            try (PreparedStatement p = c.prepareStatement("select ?::int")) {
                for (int n = 0; n < 7; n++) { p.setInt(1, n); p.executeQuery().close(); }
                run(c, "deallocate all");
                p.setInt(1, 1);
                p.executeQuery().close();
            }
        });
    }

    static void batches() {
        for (String options : List.of("", "reWriteBatchedInserts=true")) {
            test("a batch of a thousand, " + options, options, c -> {
                try (PreparedStatement p = c.prepareStatement("insert into t values (?, ?)")) {
                    for (int n = 0; n < 1000; n++) { p.setInt(1, n); p.setString(2, "x"); p.addBatch(); }
                    is(p.executeBatch().length, 1000);
                }
                is(one(c, "select count(*) from t"), 1000);
            });
            test("a batch with an error, " + options, options, c -> {
                try (PreparedStatement p = c.prepareStatement("insert into t values (?, ?)")) {
                    for (int n : new int[] {1, 2, 2, 3}) { p.setInt(1, n); p.setString(2, "x"); p.addBatch(); }
                    fails("23505", p::executeBatch);
                }
                is(one(c, "select count(*) from t"), 0);
            });
        }
        test("keys of a batch", "", c -> {
            run(c, "create temp table k (id serial, n int)");
            try (PreparedStatement p = c.prepareStatement("insert into k (n) values (?)", Statement.RETURN_GENERATED_KEYS)) {
                for (int n = 0; n < 5; n++) { p.setInt(1, n); p.addBatch(); }
                p.executeBatch();
                int keys = 0;
                try (ResultSet r = p.getGeneratedKeys()) { while (r.next()) keys += r.getInt(1); }
                is(keys, 15);
            }
        });
    }

    static void transactions() {
        for (String autosave : List.of("always", "conservative", "never")) {
            test("an error in a transaction, autosave " + autosave, "autosave=" + autosave, c -> {
                c.setAutoCommit(false);
                run(c, "insert into t values (1, 'a')");
                fails("42P01", () -> run(c, "select * from nowhere"));
                if (autosave.equals("always")) is(one(c, "select count(*) from t"), 1);
                else fails("25P02", () -> one(c, "select 1"));
                c.rollback();
            });
        }
        test("savepoints", "", c -> {
            c.setAutoCommit(false);
            Savepoint s = c.setSavepoint("here");
            fails("22012", () -> one(c, "select 1 / 0"));
            c.rollback(s);
            c.releaseSavepoint(s);
            run(c, "insert into t values (1, 'a')");
            c.commit();
            is(one(c, "select count(*) from t"), 1);
        });
        test("rows in pieces", "", c -> {
            c.setAutoCommit(false);
            try (Statement s = c.createStatement()) {
                s.setFetchSize(7);
                long sum = 0;
                try (ResultSet r = s.executeQuery("select generate_series(1, 1000)")) { while (r.next()) sum += r.getInt(1); }
                is(sum, 500500L);
                try (ResultSet r = s.executeQuery("select generate_series(1, 1000)")) { r.next(); }
            }
            c.commit();
        });
        test("read only", "", c -> {
            c.setReadOnly(true);
            c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            c.setAutoCommit(false);
            fails("25006", () -> run(c, "create table no (id int)"));
            c.rollback();
        });
    }

    static void copies() {
        test("a copy in and out", "", c -> {
            StringBuilder rows = new StringBuilder();
            for (int n = 0; n < 20000; n++) rows.append(n).append("\tx\n");
            var copy = c.unwrap(PGConnection.class).getCopyAPI();
            is(copy.copyIn("copy t from stdin", new StringReader(rows.toString())), 20000L);
            StringWriter out = new StringWriter();
            is(copy.copyOut("copy t to stdout", out), 20000L);
            is(out.toString().length(), rows.length());
        });
        test("copies that fail", "", c -> {
            var copy = c.unwrap(PGConnection.class).getCopyAPI();
            fails("22P02", () -> { try { copy.copyIn("copy t from stdin", new StringReader("1\ta\nno\tb\n")); } catch (java.io.IOException e) { throw new SQLException(e); } });
            var in = copy.copyIn("copy t from stdin");
            byte[] row = "2\tb\n".getBytes();
            in.writeToCopy(row, 0, row.length);
            in.cancelCopy();
            is(one(c, "select count(*) from t"), 0);
        });
    }

    static void others() {
        test("a time limit of the driver", "", c -> {
            try (Statement s = c.createStatement()) { s.setQueryTimeout(1); fails("57014", () -> s.execute("select pg_sleep(30)")); }
            is(one(c, "select 1"), 1);
        });
        test("a cancel", "", c -> {
            try (Statement s = c.createStatement()) {
                Timer timer = new Timer(true);
                timer.schedule(new TimerTask() { public void run() { try { s.cancel(); } catch (SQLException e) { throw new IllegalStateException(e); } } }, 300);
                fails("57014", () -> s.execute("select pg_sleep(30)"));
                timer.cancel();
            }
            is(one(c, "select 1"), 1);
        });
        for (String transfer : List.of("true", "false")) {
            test("values of many types, binary " + transfer, "binaryTransfer=" + transfer + "&prepareThreshold=-1", c -> {
                try (PreparedStatement p = c.prepareStatement("select ?::int8, ?::numeric, ?::timestamp, ?::bytea, ?::int[], ?::text")) {
                    for (int n = 0; n < 3; n++) {
                        p.setLong(1, 7); p.setBigDecimal(2, new java.math.BigDecimal("1.50")); p.setTimestamp(3, new Timestamp(0));
                        p.setBytes(4, new byte[] {0, 1}); p.setArray(5, c.createArrayOf("int", new Integer[] {1, 2})); p.setString(6, "ä");
                        try (ResultSet r = p.executeQuery()) {
                            r.next();
                            is(r.getLong(1), 7L); is(r.getBigDecimal(2).toString(), "1.50"); is(r.getTimestamp(3), new Timestamp(0));
                            is(r.getBytes(4).length, 2); is(Arrays.toString((Object[]) r.getArray(5).getArray()), "[1, 2]"); is(r.getString(6), "ä");
                        }
                    }
                }
            });
        }
        test("what the catalog says", "", c -> {
            int columns = 0;
            try (ResultSet r = c.getMetaData().getColumns(null, "pg_catalog", "pg_class", null)) { while (r.next()) columns++; }
            is(columns > 30, true);
        });
        test("notices and notifications", "", c -> {
            try (Statement s = c.createStatement()) {
                s.execute("do $$ begin raise warning 'heed'; end $$");
                is(s.getWarnings().getMessage(), "heed");
                s.execute("listen bell; notify bell, 'ring'");
            }
            is(c.unwrap(PGConnection.class).getNotifications(5000)[0].getParameter(), "ring");
        });
        test("large objects, called by number", "", c -> {
            c.setAutoCommit(false);
            var large = c.unwrap(PGConnection.class).getLargeObjectAPI();
            long id = large.createLO();
            try (var object = large.open(id)) { object.write(new byte[100000]); }
            try (var object = large.open(id)) { is(object.read(200000).length, 100000); }
            large.delete(id);
            c.commit();
        });
        test("a replication stream that is refused", "", c -> {
            run(c, "do $$ begin create role nostream login; exception when duplicate_object then null; end $$");
            fails("42501", () -> DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + System.getenv("CLYRA_PORT")
                + "/postgres?user=nostream&replication=database&assumeMinServerVersion=9.4&preferQueryMode=simple").close());
            is(one(c, "select 1"), 1);
        });
        test("a user that is not there", "", c -> fails("28000", () -> DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + System.getenv("CLYRA_PORT") + "/postgres?user=nobody").close()));
    }
}
