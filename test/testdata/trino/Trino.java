import io.trino.Session;
import io.trino.plugin.hive.HivePlugin;
import io.trino.testing.DistributedQueryRunner;
import io.trino.testing.TestingSession;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** Trino in one process, which runs the statements of a file: Trino DIRECTORY FILE. local:///x is DIRECTORY/x. */
public class Trino
{
    public static void main(String[] args) throws Exception
    {
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out)); // Trino takes System.out for its log
        Session session = TestingSession.testSessionBuilder().setCatalog("hive").setSchema("default").build();
        DistributedQueryRunner runner = DistributedQueryRunner.builder(session).setWorkerCount(0).build();
        runner.installPlugin(new HivePlugin());
        runner.createCatalog("hive", "hive", Map.of(
                "hive.metastore", "file", "hive.metastore.catalog.dir", "local:///metastore-" + Path.of(args[1]).getParent().getFileName(),
                "fs.native-local.enabled", "true", "local.location", args[0],
                "hive.non-managed-table-writes-enabled", "true", "hive.security", "allow-all"));
        runner.execute(session, "CREATE SCHEMA IF NOT EXISTS hive.default");
        for (String sql : Files.readString(Path.of(args[1])).split(";\\s*(\n|$)")) {
            if (!sql.isBlank()) {
                for (var row : runner.execute(session, sql).getMaterializedRows()) {
                    out.println(row.getField(0));
                }
            }
        }
        out.flush();
        System.exit(0); // closing it takes longer than all the rest
    }
}
