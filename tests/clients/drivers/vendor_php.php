<?php
// The vendor's PHP client: lists every kind of row through typed models, makes, changes and deletes, then calls every
// reading operation of every class. Says what it got as a JSON line each.
// Usage: vendor_php.php CLIENT_FOLDER GUZZLE_AUTOLOAD

[, $folder, $guzzle] = $argv;
require $guzzle;
spl_autoload_register(function (string $class) use ($folder): void {
    $path = $folder . '/lib/' . str_replace('\\', '/', substr($class, strlen('Pipedrive\\'))) . '.php';
    if (str_starts_with($class, 'Pipedrive\\') && is_file($path)) {
        require $path;
    }
});

$called = [];

function say(array $told): void
{
    fwrite(STDOUT, json_encode($told, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR) . "\n");
}

function api(string $version, string $name): object
{
    $configuration = "Pipedrive\\versions\\$version\\Configuration";
    $class = "Pipedrive\\versions\\$version\\Api\\$name";
    $set = (new $configuration())->setApiKey('x-api-token', getenv('PIPEDRIVE_API_TOKEN'));
    $set->setHost(getenv('PIPEDRIVE_ORIGIN') . "/api/$version");
    return new $class(new GuzzleHttp\Client(), $set);
}

/** Arguments by name, as the client's own signatures call them. */
function call(string $version, string $name, string $method, array $given = []): object|array
{
    global $called;
    $called["$version $name $method"] = true;
    $known = array_map(fn ($one) => $one->getName(), (new ReflectionMethod("Pipedrive\\versions\\$version\\Api\\$name", $method))->getParameters());
    while (true) {
        try {
            return api($version, $name)->$method(...array_intersect_key($given, array_flip($known)));
        } catch (Exception $problem) {
            if ($problem->getCode() !== 429) {
                throw $problem;
            }
            usleep(200000);
        }
    }
}

function plain(mixed $value): mixed
{
    return json_decode(json_encode($value), true);
}

function every(string $version, string $name, string $method, array $given = []): array
{
    $found = [];
    $at = [];
    while (true) {
        $answer = plain(call($version, $name, $method, ['limit' => 60, ...$given, ...$at]));
        array_push($found, ...($answer['data'] ?? []));
        $more = $answer['additional_data'] ?? [];
        $pages = $more['pagination'] ?? $more;
        if ($version === 'v2' && ($more['next_cursor'] ?? null)) {
            $at = ['cursor' => $more['next_cursor']];
        } elseif ($version === 'v1' && ($pages['more_items_in_collection'] ?? false)) {
            $at = ['start' => ($at['start'] ?? 0) + 60];
        } else {
            return $found;
        }
    }
}

$lists = [
    ['v2', 'OrganizationsApi', 'getOrganizations', 'organizations', 'getOrganization'],
    ['v2', 'PersonsApi', 'getPersons', 'persons', 'getPerson'],
    ['v2', 'DealsApi', 'getDeals', 'deals', 'getDeal'],
    ['v2', 'ProductsApi', 'getProducts', 'products', 'getProduct'],
    ['v2', 'ActivitiesApi', 'getActivities', 'activities', 'getActivity'],
    ['v2', 'PipelinesApi', 'getPipelines', 'pipelines', 'getPipeline'],
    ['v2', 'StagesApi', 'getStages', 'stages', 'getStage'],
    ['v1', 'NotesApi', 'getNotes', 'notes', 'getNote'],
    ['v1', 'FilesApi', 'getFiles', 'files', 'getFile'],
    ['v1', 'LeadsApi', 'getLeads', 'leads', 'getLead'],
    ['v1', 'LeadLabelsApi', 'getLeadLabels', 'lead_labels', null],
    ['v1', 'ActivityTypesApi', 'getActivityTypes', 'activity_types', null],
    ['v1', 'FiltersApi', 'getFilters', 'filters', 'getFilter'],
    ['v1', 'UsersApi', 'getUsers', 'users', 'getUser'],
    ['v1', 'CurrenciesApi', 'getCurrencies', 'currencies', null],
];
$first = [];
foreach ($lists as [$version, $name, $method, $table, $one]) {
    $rows = every($version, $name, $method);
    say(['rows' => $table, 'got' => $rows]);
    $first[$table] = $rows[0] ?? ['id' => 1];
    if ($one) {
        say(['one' => $table, 'got' => plain(call($version, $name, $one, ['id' => $rows[0]['id']]))['data']]);
    }
}

$first['permission_sets'] = plain(call('v1', 'PermissionSetsApi', 'getPermissionSets'))['data'][0];

$writes = [
    ['organizations', 'v2', 'OrganizationsApi', 'Organization', ['name' => 'Pehache SL'], ['name' => 'Pehache SA']],
    ['persons', 'v2', 'PersonsApi', 'Person', ['name' => 'Ada Pehache'], ['name' => 'Ada B. Pehache']],
    ['products', 'v2', 'ProductsApi', 'Product', ['name' => 'Elefante'], ['name' => 'Elefante II']],
    ['deals', 'v2', 'DealsApi', 'Deal', ['title' => 'Trato PHP', 'value' => 12.5], ['title' => 'Trato PHP II', 'status' => 'lost']],
    ['activities', 'v2', 'ActivitiesApi', 'Activity', ['subject' => 'Llamar', 'type' => 'call'], ['done' => true]],
    ['notes', 'v1', 'NotesApi', 'Note', ['content' => 'Nota de PHP', 'deal_id' => 1], ['content' => 'Nota cambiada']],
    ['leads', 'v1', 'LeadsApi', 'Lead', ['title' => 'Pista', 'organization_id' => 1], ['title' => 'Pista II']],
];
foreach ($writes as [$table, $version, $name, $word, $made, $changed]) {
    $body = function (string $method) use ($version, $name): string {
        foreach ((new ReflectionMethod("Pipedrive\\versions\\$version\\Api\\$name", $method))->getParameters() as $one) {
            if (!in_array($one->getName(), ['id', 'associative_array'], true)) {
                return $one->getName();
            }
        }
        throw new LogicException("$method takes no body");
    };
    $row = plain(call($version, $name, "add$word", [$body("add$word") => $made]))['data'];
    call($version, $name, "update$word", ['id' => $row['id'], $body("update$word") => $changed]);
    say(['kept' => $table, 'id' => $row['id'], 'sent' => [...$made, ...$changed]]);
    $gone = plain(call($version, $name, "add$word", [$body("add$word") => $made]))['data'];
    call($version, $name, "delete$word", ['id' => $gone['id']]);
    say(['deleted' => $table, 'id' => $gone['id']]);
}

$common = [
    'term' => 'Obra', 'item_type' => 'deal', 'field' => 'title', 'entity_type' => 'deal', 'folder' => 'inbox', 'comment_id' => '1',
    'conversion_id' => '00000000-0000-4000-8000-000000000001', 'deal_ids' => [$first['deals']['id']], 'org_id' => $first['organizations']['id'],
    'board_id' => 1, 'since_timestamp' => '2026-11-01 00:00:00', 'start_date' => '2026-11-01', 'end_date' => '2026-11-30',
    'interval' => 'month', 'amount' => 2, 'field_key' => 'add_time', 'period_start' => '2026-11-01', 'period_end' => '2026-11-30',
    'deal_id' => 1, 'field_type' => 'dealField',
];
foreach (['v1', 'v2'] as $version) {
    foreach (glob("$folder/lib/versions/$version/Api/*Api.php") as $path) {
        $name = basename($path, '.php');
        foreach (get_class_methods("Pipedrive\\versions\\$version\\Api\\$name") as $method) {
            if (!preg_match('/^(get|search|find)/', $method) || preg_match('/(HttpInfo|Config|Client|HostIndex|Request)$|Async/', $method) || isset($called["$version $name $method"])) {
                continue;
            }
            $about = ['id' => 1];
            foreach (['Deal' => 'deals', 'Person' => 'persons', 'Organization' => 'organizations', 'Product' => 'products', 'Lead' => 'leads', 'Note' => 'notes', 'User' => 'users', 'PermissionSet' => 'permission_sets'] as $kind => $table) {
                if (str_starts_with($name, $kind)) {
                    $about = $first[$table];
                    break;
                }
            }
            if ($version === 'v1' && in_array($name, ['DealFieldsApi', 'PersonFieldsApi', 'OrganizationFieldsApi', 'ProductFieldsApi'], true)) {
                $about = plain(call('v1', $name, 'get' . substr($name, 0, -3)))['data'][0];
            }
            $code = ['ActivityFieldsApi' => 'subject', 'DealFieldsApi' => 'title', 'ProjectFieldsApi' => 'title', 'BetaApi' => 'title'][$name] ?? 'name';
            $outcome = 'answered';
            try {
                call($version, $name, $method, ['id' => $about['id'], 'field_code' => $code, ...$common]);
            } catch (Throwable $problem) {
                $outcome = substr($problem->getMessage(), 0, 300);
            }
            say(['call' => "$version $name.$method", 'outcome' => $outcome]);
        }
    }
}
