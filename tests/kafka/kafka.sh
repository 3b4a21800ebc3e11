#!/usr/bin/env bash
# Apache Kafka, one node (KRaft), on the loopback interface only, for tests and for trying things out.
#
#   kafka.sh install                  fetch the jars named in pom.xml into the cache (needs mvn)
#   kafka.sh run --port P --dir D     a broker in the foreground, its data, settings and broker.log in D
#       [--parent PID]                ... that ends when the process PID is gone
#       [--max-seconds S]             ... or after S seconds (default 1500; 0: never)
#       [--temporary]                 ... and removes D afterwards, unless it never came up (then broker.log says why)
#       [--forward S,A]             ... with a second listener on S that clients reach at port A
#       [--secure S,PEM]              ... with a second listener on localhost:S that asks for TLS and SCRAM-SHA-512, with key
#                                     and certificates from PEM; who comes there has the rights that ACLs give and no others
#   kafka.sh acls ARGUMENTS...        what kafka-acls.sh of Kafka's distribution does
#   kafka.sh start                    a broker in the background on 127.0.0.1:9092; does nothing if it runs already
#   kafka.sh stop                     ends it; its data stays for the next start
#
# The broker takes P and, for its controller, P + 1. Topics are never made by the way: who needs one creates it with
# the settings it should have.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/tools/cache.sh
source "$here/../tools/cache.sh"

libs=$(pinned kafka "$here/pom.xml")
started='Kafka Server started'
start_port=9092
start_dir="$cache/kafka-data"

need_java() {
    command -v java >/dev/null || fail "java is missing: run 'make tools'"
}

copy_jars() {
    command -v mvn >/dev/null || fail "mvn is missing: run 'make tools'"
    echo "fetching the broker's jars" >&2
    local log
    log=$(mvn -B -ntp -f "$here/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$1" 2>&1) || fail "mvn could not fetch the broker's jars: $log"
}

write_settings() { # PORT DIR [S,PEM] [S,A]
    local port=$1 dir=$2 controller=$(($1 + 1)) listen='' advertise=''
    if [ -n "$3" ]; then
        listen=",SECURE://127.0.0.1:${3%%,*}"
        advertise=",SECURE://localhost:${3%%,*}"
    fi
    if [ -n "$4" ]; then
        listen="$listen,FORWARD://127.0.0.1:${4%%,*}"
        advertise="$advertise,FORWARD://127.0.0.1:${4#*,}"
    fi
    cat >"$dir/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller$listen
advertised.listeners=PLAINTEXT://127.0.0.1:$port$advertise
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,FORWARD:PLAINTEXT,SECURE:SASL_SSL
log.dirs=$dir/data
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
END
    # Who comes without TLS, and so without a name, is the administrator: those listeners are on the loopback interface.
    [ -z "$3" ] || cat >>"$dir/server.properties" <<END
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=false
listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location=${3#*,}
END
    cat >"$dir/log4j2.properties" <<END
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %p %m (%c)%n
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
logger.server.name=kafka.server
logger.server.level=INFO
END
}

# Runs beside the broker, whose process id it is given; ignores signals, for it ends when the broker does.
watch() { # BROKER PARENT MAX_SECONDS TEMPORARY DIR
    local broker=$1 parent=$2 max_seconds=$3 temporary=$4 dir=$5 orphaned=false
    trap '' INT TERM HUP
    SECONDS=0
    while kill -0 "$broker" 2>/dev/null; do
        if [ -n "$parent" ] && ! kill -0 "$parent" 2>/dev/null; then
            orphaned=true
        fi
        if $orphaned || { ((max_seconds > 0)) && ((SECONDS >= max_seconds)); }; then
            # Nobody misses the data of a temporary broker.
            if $temporary; then kill -KILL "$broker"; else kill -TERM "$broker"; fi
            sleep 0.5 # once: where nobody collects orphans, the process id stays
            break
        fi
        sleep 0.5
    done
    if $temporary && { $orphaned || grep -qs "$started" "$dir/broker.log"; }; then
        rm -rf "$dir"
    fi
}

run() {
    local port='' dir='' parent='' max_seconds=1500 temporary=false secure='' forward=''
    while (($#)); do
        case $1 in
        --port) port=$2 && shift 2 ;;
        --dir) dir=$2 && shift 2 ;;
        --parent) parent=$2 && shift 2 ;;
        --max-seconds) max_seconds=$2 && shift 2 ;;
        --temporary) temporary=true && shift ;;
        --secure) secure=$2 && shift 2 ;;
        --forward) forward=$2 && shift 2 ;;
        *) fail "run: unknown option $1" ;;
        esac
    done
    [ -n "$port" ] && [ -n "$dir" ] || fail "run: --port and --dir are needed"
    need_java
    [ -d "$libs" ] || fail "the broker's jars are missing: run 'make tools'"
    if $temporary && [ -n "$(ls -A "$dir" 2>/dev/null)" ]; then
        fail "run: $dir is not empty, and --temporary would remove it"
    fi

    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    write_settings "$port" "$dir" "$secure" "$forward"
    local java=(java -Xmx512m "-Dlog4j2.configurationFile=$dir/log4j2.properties" -cp "$libs/*")
    if ! "${java[@]}" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC kafka.tools.StorageTool format --ignore-formatted \
        --cluster-id cnRhbGluay10ZXN0cy0wMQ --config "$dir/server.properties" >"$dir/broker.log" 2>&1; then
        tail -n 20 "$dir/broker.log" >&2
        fail "the storage in $dir could not be formatted"
    fi
    # Only now: ended earlier, the formatting would go on and write to a folder that is gone.
    if [ -n "$parent" ] || ((max_seconds > 0)) || $temporary; then
        watch $$ "$parent" "$max_seconds" "$temporary" "$dir" </dev/null >/dev/null 2>&1 &
    fi
    echo $$ >"$dir/pid"
    # The broker takes over this process and its id: whoever ends it ends the broker, not a shell around it.
    exec "${java[@]}" kafka.Kafka "$dir/server.properties" >>"$dir/broker.log" 2>&1
}

# The process id of the broker that `start` started, if it runs.
running() {
    local pid command
    pid=$(cat "$start_dir/pid" 2>/dev/null) || return 1
    command=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || return 1
    # Another process may have the id of a broker that is long gone.
    [[ $command == *"kafka.Kafka $start_dir/server.properties"* ]] || return 1
    echo "$pid"
}

occupied() { # PORT
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

lock_start() {
    mkdir -p "$cache"
    exec {start_lock}>"$cache/start.lock"
    flock "$start_lock"
}

start() {
    lock_start
    local pid deadline launched
    if pid=$(running); then
        echo "Kafka runs on 127.0.0.1:$start_port (process $pid). Stop it with: make kafka-stop"
        return
    fi
    if occupied "$start_port"; then
        fail "127.0.0.1:$start_port is taken by something else, which may be a Kafka of your own"
    fi
    mkdir -p "$start_dir"
    rm -f "$start_dir/pid" "$start_dir/broker.log"
    setsid "${BASH_SOURCE[0]}" run --port "$start_port" --dir "$start_dir" --max-seconds 0 \
        </dev/null >/dev/null 2>&1 {start_lock}>&- &
    launched=$!
    deadline=$((SECONDS + 60))
    until grep -qs "$started" "$start_dir/broker.log"; do
        if ! kill -0 "$launched" 2>/dev/null || ((SECONDS > deadline)); then
            tail -n 20 "$start_dir/broker.log" >&2 || true
            fail "Kafka did not start; the whole log is $start_dir/broker.log"
        fi
        sleep 0.1
    done
    echo "Kafka runs on 127.0.0.1:$start_port (process $launched, data and log in $start_dir)."
    echo "Stop it with: make kafka-stop"
}

stop() {
    lock_start
    local pid deadline
    if ! pid=$(running); then
        echo "Kafka does not run."
        return
    fi
    kill -TERM "$pid"
    deadline=$((SECONDS + 20))
    while running >/dev/null; do
        if ((SECONDS > deadline)); then
            kill -KILL "$pid"
            break
        fi
        sleep 0.1
    done
    rm -f "$start_dir/pid"
    echo "Kafka is stopped."
}

case ${1:-} in
install)
    install_once "$libs" copy_jars
    need_java
    ;;
run)
    shift
    run "$@"
    ;;
acls)
    shift
    exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$libs/*" org.apache.kafka.tools.AclCommand "$@"
    ;;
start)
    install_once "$libs" copy_jars
    start
    ;;
stop) stop ;;
*)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
