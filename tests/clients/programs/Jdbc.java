import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/**
 * PostgreSQL's JDBC driver. A line of the first file is a call: name, SQL, whether it is made outside of a transaction, and for each
 * parameter its kind and value, all in base64.
 * With "typed" an integer goes by setLong, a text by setString, NULL by setObject; with "untyped" texts have no type (stringtype=unspecified)
 * and NULL goes by setNull.
 */
class Jdbc {
    public static void main(String[] arguments) throws Exception {
        boolean typed = arguments[4].equals("typed");
        // From the second time on statements are the server's, and values come in binary form.
        String options = "?prepareThreshold=" + (typed ? "5" : "1&stringtype=unspecified");
        try (Connection session = DriverManager.getConnection(arguments[2] + options, "postgres", arguments[3]);
                PrintWriter answers = new PrintWriter(arguments[1], StandardCharsets.UTF_8)) {
            List<String> answered = new ArrayList<>();
            for (String line : Files.readAllLines(Path.of(arguments[0]))) {
                String[] parts = line.split("\t", -1);
                session.setAutoCommit(decoded(parts[2]).equals("true"));
                answered.add(quoted(decoded(parts[0])) + ": " + answer(session, parts, typed));
                if (!session.getAutoCommit()) {
                    session.rollback();
                }
            }
            answers.println("{" + String.join(",\n", answered) + "}");
        }
    }

    static String answer(Connection session, String[] parts, boolean typed) {
        try (PreparedStatement statement = session.prepareStatement(decoded(parts[1]))) {
            for (int i = 3; i + 1 < parts.length; i += 2) {
                set(session, statement, i / 2, decoded(parts[i]), parts[i + 1].equals("-") ? null : decoded(parts[i + 1]), typed);
            }
            if (!statement.execute()) {
                return "{\"rows\": []}";
            }
            List<String> rows = new ArrayList<>();
            try (ResultSet found = statement.getResultSet()) {
                int width = found.getMetaData().getColumnCount();
                while (found.next()) {
                    List<String> row = new ArrayList<>();
                    for (int column = 1; column <= width; column++) {
                        row.add(json(found.getObject(column)));
                    }
                    rows.add("[" + String.join(", ", row) + "]");
                }
            }
            return "{\"rows\": [" + String.join(", ", rows) + "]}";
        } catch (SQLException error) {
            return "{\"error\": " + quoted(error.getSQLState() + ": " + error.getMessage()) + "}";
        }
    }

    static void set(Connection session, PreparedStatement statement, int place, String kind, String value, boolean typed) throws SQLException {
        if (value == null) {
            if (typed) {
                statement.setObject(place, null);
            } else {
                statement.setNull(place, Types.NULL);
            }
            return;
        }
        switch (kind) {
            case "int" -> {
                if (typed) {
                    statement.setLong(place, Long.parseLong(value));
                } else {
                    statement.setObject(place, Integer.valueOf(value));
                }
            }
            case "float" -> statement.setDouble(place, Double.parseDouble(value));
            case "bool" -> statement.setBoolean(place, value.equals("true"));
            case "json" -> statement.setObject(place, value, Types.OTHER);
            case "bytes" -> statement.setBytes(place, Base64.getDecoder().decode(value));
            case "timestamptz" -> statement.setObject(place, OffsetDateTime.parse(value));
            case "date" -> statement.setObject(place, LocalDate.parse(value));
            case "floats" -> statement.setArray(place, session.createArrayOf("float8", elements(value)));
            case "ints" -> statement.setArray(place, session.createArrayOf("int8", elements(value)));
            case "texts" -> statement.setArray(place, session.createArrayOf("text", elements(value)));
            default -> statement.setString(place, value);
        }
    }

    static Object[] elements(String value) {
        String[] parts = value.isEmpty() ? new String[0] : value.split("\u001f", -1);
        Object[] found = new Object[parts.length];
        for (int i = 0; i < parts.length; i++) {
            found[i] = parts[i].equals("\0") ? null : parts[i];
        }
        return found;
    }

    static String decoded(String text) {
        return new String(Base64.getDecoder().decode(text), StandardCharsets.UTF_8);
    }

    static String json(Object value) throws SQLException {
        if (value == null) {
            return "null";
        }
        if (value instanceof Array array) {
            List<String> all = new ArrayList<>();
            for (Object one : (Object[]) array.getArray()) {
                all.add(json(one));
            }
            return "[" + String.join(", ", all) + "]";
        }
        if (value instanceof byte[] bytes) {
            StringBuilder hex = new StringBuilder("\\x");
            for (byte one : bytes) {
                hex.append(String.format("%02x", one));
            }
            return quoted(hex.toString());
        }
        if (value instanceof Timestamp time) {
            return quoted(time.toInstant().toString());
        }
        if (value instanceof Double number && !Double.isFinite(number)) {
            return quoted(number.toString());
        }
        return value instanceof Number || value instanceof Boolean ? value.toString() : quoted(value.toString());
    }

    static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char one : text.toCharArray()) {
            if (one == '"' || one == '\\') {
                out.append('\\').append(one);
            } else if (one < ' ') {
                out.append(String.format("\\u%04x", (int) one));
            } else {
                out.append(one);
            }
        }
        return out.append('"').toString();
    }
}
